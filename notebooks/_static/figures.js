// A figure opens as large as the window allows, or as it was drawn where the window is a telephone's: a tap, a
// click or Enter enlarges it, and a finger moves it; another tap, Escape or the button closes it, and the page is
// where it was. Without scripts the link leads to the picture's file.
document.addEventListener("DOMContentLoaded", () => {
  const figures = document.querySelectorAll(".bd-article :is(.cell_output, p, figure) img");
  if (!figures.length) return;
  const dialog = document.createElement("dialog"), image = new Image(), close = document.createElement("button");
  dialog.className = "enlarged";
  dialog.setAttribute("aria-label", "Figure, enlarged");
  [close.type, close.textContent] = ["button", "Close"];
  dialog.append(close);
  document.body.append(dialog);
  for (const part of [image, close, dialog]) part.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => image.remove());

  for (const figure of figures) {
    const link = figure.closest("a") ?? wrapped(figure);
    if (link.getAttribute("href") !== figure.getAttribute("src")) continue; // a picture that leads elsewhere
    link.classList.add("enlarges");
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a new tab or window is wanted
      event.preventDefault();
      enlarge(figure, event);
    });
  }

  function wrapped(figure) {
    const link = document.createElement("a");
    link.href = figure.getAttribute("src");
    figure.replaceWith(link);
    link.append(figure);
    return link;
  }

  function enlarge(figure, event) {
    const seen = figure.getBoundingClientRect(), drawn = parseFloat(figure.style.width) || 800;
    const wide = Math.max(drawn, Math.min(window.innerWidth - 40, 1.5 * drawn));
    [image.src, image.alt, image.style.width] = [figure.src, figure.alt, `${wide}px`];
    image.style.aspectRatio = `${seen.width} / ${seen.height}`;
    dialog.append(image);
    dialog.showModal();
    // What was tapped is in the middle of the window; the keyboard, which taps nowhere, begins at the top left.
    const [x, y] = event.detail ? [event.clientX - seen.left, event.clientY - seen.top] : [0, 0];
    const larger = image.getBoundingClientRect().width / seen.width;
    dialog.scrollTo(x * larger - window.innerWidth / 2, y * larger - window.innerHeight / 2);
  }
});
