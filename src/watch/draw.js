// draw.js - makes elements, charts and text differences. Data become text nodes, never markup.
"use strict";

const draw = (() => {
    const $ = id => document.getElementById(id);

    // An element; of its attributes only those named here can be set. Children: strings or nodes.
    const ALLOWED = new Set(["class", "title", "scope", "type", "aria-label", "aria-sort", "role", "href", "dir",
        "tabindex", "alt", "loading", "id", "value", "colspan"]);
    function element(tag, attributes, ...children) {
        const made = document.createElement(tag);
        for (const [name, value] of Object.entries(attributes || {})) {
            if (!ALLOWED.has(name)) { throw new Error("attribute " + name); }
            made.setAttribute(name, value);
        }
        made.append(...children.filter(child => child !== null && child !== undefined));
        return made;
    }

    function fill(parent, children) {
        parent.replaceChildren(...children);
    }

    // --- numbers ---

    const whole = new Intl.NumberFormat("en");
    function number(value) {
        if (value === null || value === undefined || !Number.isFinite(value)) { return "–"; }
        if (Number.isInteger(value) && Math.abs(value) < 1e15) { return whole.format(value); }
        const size = Math.abs(value);
        if (size >= 100 && size < 1e7) { return whole.format(Math.round(value)); }
        return size < 1e-3 || size >= 1e7 ? value.toExponential(2) : String(Number(value.toPrecision(3)));
    }
    function share(value) {
        return value === null || value === undefined || !Number.isFinite(value) ? "–" : (100 * value).toFixed(1) + " %";
    }
    function bytes(value) {
        const units = ["B", "KiB", "MiB", "GiB", "TiB"];
        let i = 0;
        for (; value >= 1024 && i < units.length - 1; i++) { value /= 1024; }
        return number(i === 0 ? value : Number(value.toPrecision(3))) + " " + units[i];
    }
    function time(us) {
        return us > 0 ? new Date(us / 1000).toISOString().slice(0, 19).replace("T", " ") + " UTC" : "–";
    }

    // --- small things in tables ---

    function bar(part) {
        const inner = element("i");
        inner.style.setProperty("--part", Math.max(0, Math.min(1, part || 0)));
        return element("span", {class: "bar"}, inner);
    }

    function row(...cells) { // [text or node, class]
        return element("tr", null, ...cells.map(cell => Array.isArray(cell)
            ? element("td", {class: cell[1]}, cell[0]) : element("td", null, cell)));
    }

    function none(columns, text) {
        return element("tr", null, element("td", {colspan: columns, class: "empty"}, text));
    }

    const SVG = "http://www.w3.org/2000/svg";
    function spark(values, label) {
        const svg = document.createElementNS(SVG, "svg");
        const known = values.filter(Number.isFinite);
        svg.setAttribute("class", "spark");
        svg.setAttribute("viewBox", "0 0 100 24");
        svg.setAttribute("preserveAspectRatio", "none");
        svg.setAttribute("role", "img");
        svg.setAttribute("aria-label", known.length ? `${label}: from ${share(known[0])} to ${share(known[known.length - 1])}`
            : label + ": nothing yet");
        const top = Math.max(0.05, ...known);
        let points = "";
        values.forEach((value, i) => {
            if (Number.isFinite(value)) {
                points += `${(100 * i / Math.max(1, values.length - 1)).toFixed(1)},${(23 - 22 * value / top).toFixed(1)} `;
            }
        });
        const line = document.createElementNS(SVG, "polyline");
        line.setAttribute("points", points.trim());
        svg.append(line);
        return svg;
    }

    // --- charts ---

    const charts = new Map(); // of a canvas: {chart, make}
    function colour(name) {
        return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
    }

    // Dashed vertical lines; Chart.js has none of its own.
    const lines = {
        id: "lines",
        afterDatasetsDraw(chart, _, options) {
            const x = chart.scales.x, y = chart.scales.y, pen = chart.ctx;
            const lines = [...(options.at || [])].sort((a, b) => a.position - b.position)
                .map(line => ({at: x.getPixelForValue(line.position), label: line.label}))
                .filter(({at}) => at >= x.left - 1 && at <= x.right + 1);
            pen.save();
            pen.strokeStyle = colour("drop");
            pen.setLineDash([5, 4]);
            pen.lineWidth = 2;
            for (const {at} of lines) {
                pen.beginPath();
                pen.moveTo(at, y.top);
                pen.lineTo(at, y.bottom);
                pen.stroke();
            }
            pen.font = "11px sans-serif";
            lines.forEach(({at, label}, i) => { // on a ground of its own, or the next line would cross it out
                const size = pen.measureText(label).width, left = at > (x.left + x.right) / 2 ? at - size - 4 : at + 4;
                pen.fillStyle = colour("panel");
                pen.fillRect(left - 1, y.top + 13 * i, size + 2, 13);
                pen.fillStyle = colour("drop");
                pen.fillText(label, left, y.top + 10 + 13 * i);
            });
            pen.restore();
        },
    };

    function options(x, y, at, legend) {
        const axis = title => ({
            title: {display: Boolean(title), text: title, color: colour("quiet")},
            ticks: {color: colour("quiet"), maxTicksLimit: 6, autoSkipPadding: 12, maxRotation: 0}, grid: {color: colour("line")},
        });
        return {
            animation: false, responsive: true, maintainAspectRatio: false, normalized: true,
            interaction: {mode: "index", intersect: false},
            plugins: {legend: {display: legend, labels: {color: colour("ink"), boxWidth: 14}}, lines: {at}},
            scales: {x: axis(x), y: {...axis(y), beginAtZero: true}},
        };
    }

    function show(canvas, make) {
        const made = make(), before = charts.get(canvas);
        if (before) {
            before.make = make;
            before.chart.data = made.data;
            before.chart.options = made.options;
            before.chart.update("none");
        } else {
            charts.set(canvas, {make, chart: new Chart(canvas, {...made, plugins: [lines]})});
        }
    }

    // bins: [{label, count}]; at: [{position, label}], position in bins from the left.
    function histogram(canvas, bins, at, label) {
        canvas.setAttribute("aria-label", label);
        show(canvas, () => {
            const made = {
                type: "bar",
                data: {labels: bins.map(bin => bin.label), datasets: [{label: "samples", data: bins.map(bin => bin.count),
                    backgroundColor: colour("accent"), barPercentage: 1, categoryPercentage: 0.94}]},
                options: options("", "samples", at, false),
            };
            return made;
        });
    }

    // series: [{label, values, colour}]
    const PALETTE = ["accent", "keep", "flag", "refuse", "drop", "quiet"];
    function curves(canvas, labels, series, x, y) {
        show(canvas, () => ({
            type: "line",
            data: {labels, datasets: series.map((one, i) => ({
                label: one.label, data: one.values, pointRadius: 0, borderWidth: 2, tension: 0,
                borderColor: colour(one.colour || PALETTE[i % PALETTE.length]),
                backgroundColor: colour(one.colour || PALETTE[i % PALETTE.length]),
                borderDash: i >= PALETTE.length ? [6, 3] : [],
            }))},
            options: options(x, y, [], true),
        }));
    }

    function recolour() {
        charts.forEach((held, canvas) => show(canvas, held.make));
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
    // Paper is light, and has its own width.
    function print(begins) {
        document.documentElement.classList.toggle("printing", begins);
        recolour();
        charts.forEach(held => begins ? held.chart.resize(Math.min(held.chart.width, 620), held.chart.height) : held.chart.resize());
    }
    addEventListener("beforeprint", () => print(true));
    addEventListener("afterprint", () => print(false));

    // --- text difference ---

    const TOKENS = 700; // compared on each side, after what both begin and end with
    // [[" " | "-" | "+", text], ...] by words: a longest common subsequence.
    function difference(a, b) {
        const x = a.match(/\s+|[\p{L}\p{N}_]+|[^\s]/gu) || [], y = b.match(/\s+|[\p{L}\p{N}_]+|[^\s]/gu) || [];
        const out = [];
        const say = (mark, text) => {
            const last = out[out.length - 1];
            if (text !== "") { last && last[0] === mark ? last[1] += text : out.push([mark, text]); }
        };
        let head = 0, tail = 0;
        while (head < x.length && head < y.length && x[head] === y[head]) { head++; }
        while (tail < x.length - head && tail < y.length - head && x[x.length - 1 - tail] === y[y.length - 1 - tail]) { tail++; }
        say(" ", x.slice(0, head).join(""));
        const n = x.length - head - tail, m = y.length - head - tail;
        if (n > TOKENS || m > TOKENS) { // too different to be worth the time
            say("-", x.slice(head, head + n).join(""));
            say("+", y.slice(head, head + m).join(""));
        } else {
            const width = m + 1, longest = new Uint16Array((n + 1) * width);
            for (let i = n - 1; i >= 0; i--) {
                for (let j = m - 1; j >= 0; j--) {
                    longest[i * width + j] = x[head + i] === y[head + j] ? longest[(i + 1) * width + j + 1] + 1
                        : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
                }
            }
            let i = 0, j = 0;
            while (i < n || j < m) {
                if (i < n && j < m && x[head + i] === y[head + j]) {
                    say(" ", x[head + i]);
                    i++;
                    j++;
                } else if (j === m || (i < n && longest[(i + 1) * width + j] >= longest[i * width + j + 1])) {
                    say("-", x[head + i++]);
                } else {
                    say("+", y[head + j++]);
                }
            }
        }
        say(" ", x.slice(x.length - tail).join(""));
        return out;
    }

    // One side of a difference as a paragraph: what the other lacks is marked.
    function marked(parts, mark) {
        const tag = mark === "-" ? "del" : "ins";
        return element("p", {class: "text", dir: "auto", tabindex: "0"}, ...parts.filter(part => part[0] === " " || part[0] === mark)
            .map(part => part[0] === " " ? part[1] : element(tag, null, part[1])));
    }

    // --- files ---

    // What a spreadsheet would take for a formula begins with an apostrophe.
    function csv(rows) {
        const field = value => typeof value === "number" ? String(value)
            : '"' + (/^[=+\-@\t\r]/.test(value) ? "'" : "") + String(value ?? "").replaceAll('"', '""') + '"';
        return rows.map(cells => cells.map(field).join(",") + "\n").join("");
    }

    function download(name, type, text) {
        const url = URL.createObjectURL(new Blob([text], {type}));
        const link = element("a", {href: url});
        link.download = name;
        document.body.append(link);
        link.click();
        link.remove();
        setTimeout(() => URL.revokeObjectURL(url), 10000);
    }

    return {$, element, fill, number, share, bytes, time, bar, row, none, spark, histogram, curves, difference, marked, csv, download};
})();
