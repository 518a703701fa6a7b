// Before the first paint, so that nobody sees the other theme flash.
(function () {
  var kept = null;
  try {
    kept = localStorage.getItem("tabane.theme");
  } catch (e) {
    // Without storage the system decides.
  }
  var dark = kept ? kept === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
