(function () {
  "use strict";
  var form = document.getElementById("filters");
  var table = document.getElementById("observations");
  if (!form || !table) { return; }
  var rows = Array.prototype.slice.call(table.tBodies[0].rows);
  var keys = ["layer", "edits", "measure", "verdict"];
  keys.forEach(function (key) {
    var select = form.elements[key], seen = {};
    rows.forEach(function (row) {
      var value = row.getAttribute("data-" + key);
      if (!Object.prototype.hasOwnProperty.call(seen, value)) {
        seen[value] = true;
        select.add(new Option(value, value));
      }
    });
  });
  function apply() {
    var shown = 0;
    rows.forEach(function (row) {
      row.hidden = !keys.every(function (key) {
        var index = form.elements[key].selectedIndex;
        return index <= 0 || form.elements[key].value === row.getAttribute("data-" + key);
      });
      shown += row.hidden ? 0 : 1;
    });
    document.getElementById("shown").textContent = shown + " of " + rows.length + " shown";
  }
  form.addEventListener("change", apply);
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  form.hidden = false;
  apply();
}());
