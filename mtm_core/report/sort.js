// Click on a column of a sortable table: rows by their data-v, numbers first, empty ones last. All works without it.
document.querySelectorAll("table.sortable").forEach(function (table) {
  var body = table.tBodies[0], heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach(function (head, column) {
    var button = document.createElement("button");
    button.type = "button";
    while (head.firstChild && head.firstChild.nodeName !== "A") button.appendChild(head.firstChild);
    head.insertBefore(button, head.firstChild);
    button.addEventListener("click", function () {
      var down = head.getAttribute("aria-sort") === "ascending", sign = down ? -1 : 1;
      var rows = Array.from(body.rows).map(function (row) { return [row.cells[column].dataset.v || "", row]; });
      rows.sort(function (a, b) {
        if (a[0] === "" || b[0] === "") return (a[0] === "") - (b[0] === "");
        var x = Number(a[0]), y = Number(b[0]);
        return sign * (isNaN(x) || isNaN(y) ? a[0].localeCompare(b[0]) : x - y);
      });
      rows.forEach(function (pair) { body.appendChild(pair[1]); });
      heads.forEach(function (each) { each.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
    });
  });
});
