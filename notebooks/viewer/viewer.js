// MR volumes with their masks, in the page: NiiVue draws what volumes.js holds, so nothing is fetched and a page
// opened from a folder works. Without WebGL the message says so, and the picture above stays.
(async () => {
  const place = document.getElementById("mri-viewer");
  const message = place.querySelector("p");
  const patients = window.npcbookVolumes;
  if (!patients || !window.niivue) return;
  if (!document.createElement("canvas").getContext("webgl2")) {
    message.textContent = "This browser draws no WebGL 2; the picture above shows the same patients.";
    place.dataset.state = "no-webgl";
    return;
  }
  // Colours of background, tumour and node: the reader's warm, the network's cold.
  const colours = {
    reader: { R: [0, 230, 255], G: [0, 60, 200], B: [0, 40, 0] },
    network: { R: [0, 0, 120], G: [0, 170, 230], B: [0, 255, 255] },
  };
  const opacity = { R: [], G: [], B: [], A: [0, 100, 100], I: [0, 1, 2], labels: ["", "tumour", "node"] };

  const bar = document.createElement("form");
  bar.className = "filters";
  const patient = choice("patient", patients.map((one) => one.title));
  const sequence = choice("sequence", Object.keys(patients[0].image));
  const masks = choice("masks", ["reader's", "network's", "both", "none"]);
  bar.addEventListener("input", show);

  const canvas = document.createElement("canvas");
  canvas.setAttribute("aria-label", "MR volume in three planes; arrow keys, Page Up and Page Down move the cross");
  canvas.tabIndex = 0;
  canvas.addEventListener("keydown", move);
  const frame = document.createElement("div");
  frame.className = "viewer-frame";
  frame.append(canvas);
  // A finger that swipes scrolls the page; what it taps arrives as a click.
  for (const kind of ["touchstart", "touchmove", "touchend", "touchcancel"])
    frame.addEventListener(kind, (event) => event.stopPropagation(), { capture: true, passive: true });
  const where = document.createElement("output");
  where.setAttribute("aria-live", "polite");
  place.append(bar, frame, where);
  const view = new niivue.Niivue({ backColor: [0, 0, 0, 1], isRadiologicalConvention: true, crosshairWidth: 0.4, crosshairColor: [0.5, 0.9, 0.5, 0.8], loadingText: "", dragAndDropEnabled: false });
  let readers = [], turn = 0;
  view.onLocationChange = ({ mm, values: [grey, ...labels] }) => {
    const sides = [["right", "left"], ["anterior", "posterior"], ["superior", "inferior"]];
    const at = sides.map(([more, less], axis) => `${Math.abs(mm[axis]).toFixed(0)} mm ${mm[axis] < 0 ? less : more}`);
    const marked = labels.map(({ value }, n) => `${readers[n]}: ${["background", "tumour", "node"][value]}`);
    where.textContent = [`Cross ${at.join(", ")} of the origin`, `grey value ${grey.value.toFixed(0)}`, ...marked].join("; ") + ".";
  };
  await view.attachToCanvas(canvas);
  await show();
  message.textContent = "Click or tap to move the cross, or use the arrow keys: what is tapped in one plane chooses the slice of the others. Go through slices with the wheel, or Page Up and Page Down; drag with the right button to change contrast.";
  place.dataset.state = "ready";

  async function show() {
    const shown = patients[patient.selectedIndex];
    const key = sequence.value, mine = ++turn;
    const asked = { "reader's": ["reader"], "network's": ["network"], both: ["reader", "network"], none: [] }[masks.value].filter((who) => shown[who][key]);
    const image = await load(shown.image[key]);
    const overlays = await Promise.all(asked.map(async (who) => {
      const mask = await load(shown[who][key]);
      mask.setColormapLabel({ ...opacity, ...colours[who] });
      return mask;
    }));
    if (mine !== turn) return; // Something else was chosen meanwhile.
    readers = asked;
    while (view.volumes.length) view.removeVolume(view.volumes[0]);
    [image, ...overlays].forEach((volume) => view.addVolume(volume));
    place.dataset.shown = [shown.title, key, masks.value].join(", ");
  }

  // The patient's right is on the left of the picture.
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

  function choice(name, values) {
    const select = document.createElement("select");
    select.append(...values.map((value) => new Option(value)));
    const label = document.createElement("label");
    label.append(name, " ", select);
    bar.append(label);
    return select;
  }
})();
