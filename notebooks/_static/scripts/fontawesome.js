// Icons come from the font in the theme's style sheet; the script that this file replaces draws the same icons anew
// and is heavier than all the rest of a page.
