// MR volumes with their masks, in the page: NiiVue draws the volumes that volumes.js holds, and the masks are
// filled and outlined above them, so nothing is fetched and a page opened from a folder works. Without WebGL the
// message says so, and the picture above stays.
(async () => {
  const place = document.getElementById("mri-viewer");
  const message = place.querySelector("p");
  if (!window.npcbookVolumes || !window.niivue) return;
  if (!document.createElement("canvas").getContext("webgl2")) {
    message.textContent = "This browser draws no WebGL 2; the picture above shows the same patients.";
    place.dataset.state = "no-webgl";
    return;
  }
  const { patients, colours } = window.npcbookVolumes;
  const DASHES = { reader: [], network: [6, 3.5] };
  const NAMES = ["background", ...Object.keys(colours)];

  const choices = bar("filters");
  const patient = choice("patient", patients.map((one) => one.title));
  const sequence = choice("sequence", Object.keys(patients[0].image));
  const masks = choice("masks", ["reader's", "network's", "both", "none"]);
  choices.addEventListener("input", () => show());

  const frame = document.createElement("div");
  frame.className = "viewer-frame";
  const canvas = document.createElement("canvas"), drawing = document.createElement("canvas");
  canvas.setAttribute("aria-label", "MR volume in three planes; arrow keys, Page Up and Page Down move the cross");
  canvas.tabIndex = 0;
  canvas.addEventListener("keydown", move);
  frame.append(canvas, drawing);
  place.append(frame);
  const key = document.createElement("p");
  key.className = "viewer-key";
  for (const [name, colour] of Object.entries(colours)) key.append(mark(name, `0.7em solid ${colour}`));
  key.append(mark("reader", "2px solid"), mark("network", "2px dashed"));
  place.append(key);

  const sliders = bar("filters viewer-sliders");
  const slice = slider("slice", 1, 1, 1), opacity = slider("opacity", 0, 100, 30);
  const brightness = slider("brightness", -100, 100, 0), contrast = slider("contrast", -100, 100, 0);
  const again = document.createElement("button");
  [again.type, again.textContent] = ["button", "reset"];
  again.addEventListener("click", () => {
    for (const one of [opacity, brightness, contrast]) one.value = one.defaultValue;
    setWindow();
  });
  sliders.append(again);
  slice.addEventListener("input", () => view.moveCrosshairInVox(0, 0, slice.value - 1 - voxel()[2]));
  for (const one of [opacity, brightness, contrast]) one.addEventListener("input", setWindow);
  const where = document.createElement("output");
  where.setAttribute("aria-live", "polite");
  place.append(where, message);

  // A finger that swipes up or down scrolls the page, one that swipes sideways changes the brightness; what it
  // taps arrives as a click. The right button of a mouse changes brightness and contrast.
  for (const kind of ["touchstart", "touchmove", "touchend", "touchcancel"])
    frame.addEventListener(kind, (event) => event.stopPropagation(), { capture: true, passive: true });
  frame.addEventListener("mousedown", (event) => event.button === 2 && event.stopPropagation(), true);
  frame.addEventListener("contextmenu", (event) => event.preventDefault());
  let grip = null;
  frame.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch" ? !event.isPrimary : event.button !== 2) return;
    grip = { id: event.pointerId, x: event.clientX, y: event.clientY, brightness: +brightness.value, contrast: +contrast.value };
    frame.setPointerCapture(grip.id);
  });
  frame.addEventListener("pointermove", (event) => {
    if (grip?.id !== event.pointerId) return;
    const [across, up] = [event.clientX - grip.x, grip.y - event.clientY].map((pixels) => pixels / 2);
    brightness.value = grip.brightness + (event.pointerType === "touch" ? across : up);
    if (event.pointerType !== "touch") contrast.value = grip.contrast + across;
    setWindow();
  });
  for (const kind of ["pointerup", "pointercancel"]) frame.addEventListener(kind, () => (grip = null));

  const view = new niivue.Niivue({
    backColor: [0, 0, 0, 1], isRadiologicalConvention: true, loadingText: "", dragAndDropEnabled: false,
    crosshairWidth: 0.7, crosshairWidthUnit: "mm", crosshairGap: 12, crosshairColor: [0.5, 0.9, 0.5, 0.8],
  });
  let drawn = {}, turn = 0, shown = null, usual = [0, 1];
  view.onLocationChange = ({ mm, vox, values: [grey] }) => {
    const sides = [["right", "left"], ["anterior", "posterior"], ["superior", "inferior"]];
    const at = sides.map(([more, less], axis) => `${Math.abs(mm[axis]).toFixed(0)} mm ${mm[axis] < 0 ? less : more}`);
    const marked = Object.entries(drawn).map(([who, mask]) => `${who}: ${NAMES[mask.voxels[index(mask.dims, vox)]]}`);
    where.textContent = [`Cross ${at.join(", ")} of the origin`, `grey value ${grey.value.toFixed(0)}`, ...marked].join("; ") + ".";
    slice.value = vox[2] + 1;
    name(slice, `slice ${slice.value} of ${slice.max}`);
  };
  await view.attachToCanvas(canvas);
  arrange();
  window.addEventListener("resize", arrange);
  const drawScene = view.drawScene;
  view.drawScene = (...given) => {
    const done = drawScene.apply(view, given);
    drawMasks();
    return done;
  };
  await show();
  message.textContent =
    "Click or tap to move the cross: what is chosen in one plane sets the slice of the others. Slices: the wheel, " +
    "Page Up and Page Down, or the slider; arrow keys move the cross. Brightness and contrast: drag with the right " +
    "button, swipe sideways with a finger, or the sliders.";
  place.dataset.state = "ready";

  // Large the axial slice; beside it, or below it where the page is narrow, the coronal and the sagittal one.
  function arrange() {
    const places = canvas.clientWidth > canvas.clientHeight
      ? [[0, 0, 0.66, 1], [0.67, 0, 0.33, 0.49], [0.67, 0.51, 0.33, 0.49]]
      : [[0, 0, 1, 0.68], [0, 0.69, 0.49, 0.31], [0.51, 0.69, 0.49, 0.31]];
    view.setCustomLayout(places.map((position, sliceType) => ({ sliceType, position })));
  }

  async function show() {
    const asked = patients[patient.selectedIndex], channel = sequence.value, mine = ++turn;
    const whose = { "reader's": ["reader"], "network's": ["network"], both: ["reader", "network"], none: [] }[masks.value];
    const image = await load(asked.image[channel]);
    const found = {};
    for (const who of whose.filter((who) => asked[who][channel])) {
      const mask = await load(asked[who][channel]);
      found[who] = { voxels: mask.img2RAS(), dims: mask.dimsRAS.slice(1, 4) };
    }
    if (mine !== turn) return; // Something else was chosen meanwhile.
    drawn = found;
    usual = [image.cal_min, image.cal_max];
    while (view.volumes.length) view.removeVolume(view.volumes[0]);
    view.addVolume(image);
    slice.max = image.dimsRAS[3];
    // Another patient is first seen where most is marked.
    if (asked !== shown && Object.keys(drawn).length) view.scene.crosshairPos = [0.5, 0.5, fullest(Object.values(drawn)[0])];
    shown = asked;
    setWindow();
    view.createOnLocationChange();
    place.dataset.shown = [asked.title, channel, masks.value].join(", ");
  }

  // Of the range of grey values that the picture opens with, brightness moves the middle and contrast the width.
  function setWindow() {
    const [image] = view.volumes, width = usual[1] - usual[0];
    const middle = (usual[0] + usual[1]) / 2 - (width * brightness.value) / 125, half = (width / 2) * 2 ** (-contrast.value / 40);
    [image.cal_min, image.cal_max] = [middle - half, middle + half];
    view.updateGLVolume();
  }

  function drawMasks() {
    [drawing.width, drawing.height] = [canvas.width, canvas.height]; // which also clears it
    const pen = drawing.getContext("2d"), scale = canvas.width / canvas.clientWidth;
    pen.lineWidth = 1.6 * scale;
    for (const tile of view.screenSlices.filter(({ axCorSag }) => axCorSag < 3))
      for (const [who, mask] of Object.entries(drawn))
        for (const [n, colour] of Object.values(colours).entries()) {
          const path = contour(mask, n + 1, tile);
          pen.fillStyle = pen.strokeStyle = colour;
          pen.globalAlpha = opacity.value / 100 / Object.keys(drawn).length;
          pen.fill(path);
          pen.globalAlpha = 1;
          pen.setLineDash(DASHES[who].map((length) => length * scale));
          pen.stroke(path);
        }
  }

  // The outline of a label in the slice of a tile: through the middle between voxels within and without, as in
  // the book's figures. A cell lies between four voxels; TURNS says, by which of them are within, from which of
  // its sides to which the outline goes.
  function contour({ voxels, dims }, label, { axCorSag, sliceFrac, leftTopWidthHeight: [left, top, width, height] }) {
    const TURNS = ["", "NW", "EN", "EW", "SE", "NWSE", "SN", "SW", "WS", "NS", "ENWS", "ES", "WE", "NE", "WN", ""];
    const SIDES = { N: [1, 0], E: [2, 1], S: [1, 2], W: [0, 1] };
    const [across, up, depth] = [[0, 1, 2], [0, 2, 1], [1, 2, 0]][axCorSag];
    const step = [1, dims[0], dims[0] * dims[1]], [columns, rows] = [dims[across], dims[up]];
    const first = Math.min(dims[depth] - 1, Math.floor(sliceFrac * dims[depth])) * step[depth];
    const within = (i, j) =>
      i >= 0 && j >= 0 && i < columns && j < rows && voxels[first + i * step[across] + j * step[up]] === label;
    const wide = 2 * columns + 4, next = new Map();
    const point = (i, j, side) => (2 * j + 2 + SIDES[side][1]) * wide + 2 * i + 2 + SIDES[side][0];
    for (let j = -1; j < rows; j++)
      for (let i = -1; i < columns; i++) {
        const turns = TURNS[within(i, j) + 2 * within(i + 1, j) + 4 * within(i + 1, j + 1) + 8 * within(i, j + 1)];
        for (let k = 0; k < turns.length; k += 2) next.set(point(i, j, turns[k]), point(i, j, turns[k + 1]));
      }
    const path = new Path2D(), mirrored = axCorSag < 2; // The patient's right is on the left of the picture.
    for (let from of next.keys()) {
      for (let go = "moveTo"; next.has(from); go = "lineTo") {
        const x = ((from % wide) - 1) / (2 * columns), y = (Math.floor(from / wide) - 1) / (2 * rows);
        path[go](left + width * (mirrored ? 1 - x : x), top + height * (1 - y));
        const to = next.get(from);
        next.delete(from);
        from = to;
      }
      path.closePath();
    }
    return path;
  }

  function fullest({ voxels, dims }) {
    const size = dims[0] * dims[1];
    const marked = Array.from({ length: dims[2] }, (_, z) => voxels.subarray(z * size, (z + 1) * size).filter(Boolean).length);
    return (marked.indexOf(Math.max(...marked)) + 0.5) / dims[2];
  }

  function index(dims, [x, y, z]) {
    return x + dims[0] * (y + dims[1] * z);
  }

  function voxel() {
    return view.frac2vox(view.scene.crosshairPos);
  }

  function move(event) {
    const step = {
      ArrowLeft: [1, 0, 0], ArrowRight: [-1, 0, 0], ArrowUp: [0, 1, 0], ArrowDown: [0, -1, 0],
      PageUp: [0, 0, 1], PageDown: [0, 0, -1],
    }[event.key];
    if (!step) return;
    event.preventDefault();
    view.moveCrosshairInVox(...step);
  }

  function load(base64) {
    return niivue.NVImage.loadFromBase64({ base64, name: "volume.nii.gz", colormap: "gray" });
  }

  function bar(className) {
    const form = document.createElement("form");
    form.className = className;
    form.addEventListener("submit", (event) => event.preventDefault());
    place.append(form);
    return form;
  }

  function choice(name, values) {
    const select = document.createElement("select");
    select.append(...values.map((value) => new Option(value)));
    choices.append(labelled(name, select));
    return select;
  }

  function slider(name, min, max, value) {
    const input = document.createElement("input");
    Object.assign(input, { type: "range", min, max, defaultValue: value });
    sliders.append(labelled(name, input));
    return input;
  }

  function labelled(text, control) {
    const label = document.createElement("label"), words = document.createElement("span");
    words.textContent = text;
    label.append(words, control);
    return label;
  }

  function name(control, text) {
    control.parentElement.firstElementChild.textContent = text;
  }

  function mark(text, border) {
    const item = document.createElement("span"), line = document.createElement("i");
    line.style.borderTop = border;
    item.append(line, text);
    return item;
  }
})();
