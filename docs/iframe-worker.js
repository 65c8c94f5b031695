// Browsers start no worker from a file on the disk, so on such pages its script runs in a hidden frame that answers by the same messages:
// the search works without a server.
if (location.protocol === "file:") {
  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(address) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.documentElement.appendChild(frame)
      const inside = frame.contentWindow
      inside.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
      inside.importScripts = (...addresses) =>
        addresses.reduce((before, next) => before.then(() => load(inside.document, next)), Promise.resolve())
      this.ready = load(inside.document, String(address)).then(() => inside)
    }
    postMessage(data) {
      this.ready.then(inside => inside.dispatchEvent(new MessageEvent("message", { data })))
    }
  }

  function load(page, address) {
    return new Promise((done, failed) => {
      const script = page.createElement("script")
      script.src = address
      script.onload = done
      script.onerror = failed
      page.documentElement.appendChild(script)
    })
  }
}
