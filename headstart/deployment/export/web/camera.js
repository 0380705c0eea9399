"use strict";
/** One camera for the whole page: it is asked for once, and let go when nobody looks. */
const Camera = (() => {
  const SHORTER = 320; // pixels of a frame's shorter side: more than networks look at, and a small file
  let stream = null;
  const screens = new Set();

  /** Shows the camera in a video element. Throws an Error in words for people. */
  async function show(video) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("Browsers give the camera only to pages from disk, from localhost or over https.");
    }
    try {
      stream ??= await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
    } catch (error) {
      const why = { NotAllowedError: "The browser was not allowed to use the camera.", NotFoundError: "There is no camera here." };
      throw new Error(why[error.name] || `The camera does not open: ${error.message}`);
    }
    screens.add(video);
    video.srcObject = stream;
    await video.play();
  }

  function hide(video) {
    video.srcObject = null;
    screens.delete(video);
    if (screens.size || !stream) return;
    for (const track of stream.getTracks()) track.stop();
    stream = null;
  }

  /** What the camera shows now as a canvas. */
  function frame(video) {
    const { videoWidth: w, videoHeight: h } = video, share = Math.min(1, SHORTER / Math.min(w, h));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(w * share));
    canvas.height = Math.max(1, Math.round(h * share));
    canvas.getContext("2d", { willReadFrequently: true }).drawImage(video, 0, 0, canvas.width, canvas.height);
    return canvas;
  }

  /** A canvas as the bytes of a PNG file: what was seen is what Python will see. */
  async function png(canvas) {
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    return new Uint8Array(await blob.arrayBuffer());
  }

  return { show, hide, frame, png };
})();
