// page.js - the dashboard (asks the API) and the report (its data are in the page): the same sections.
"use strict";

(() => {
    const {$, element, fill, number, share, row, none, bar} = draw;
    const data = $("data") ? JSON.parse($("data").textContent) : null;
    const live = data === null;
    const seen = {portfolio: data && data.portfolio, before: data && data.before,
        status: data && {duplicates: data.similarity}, config: data && data.config,
        recent: null, pairs: []};
    const SCORES = ["loss", "self", "leverage"];
    const SOURCES_SHOWN = 100, MATRIX_SHOWN = 12, WHATIF_SHOWN = 20, LABELS_SHOWN = 100, TAP_SHOWN = 30;
    document.documentElement.classList.add(live ? "watching" : "report");

    const name = value => value === null || value === undefined ? "(the stream)" : value === "" ? "(no name)" : value;
    const named = value => [name(value), "name"];
    const decision = word => element("span", {class: ["keep", "flag", "drop", "refuse"].includes(word) ? word : ""}, word);
    const sum = list => list.reduce((total, value) => total + value, 0);

    // Sets the options of a select, keeping what is chosen.
    function choices(select, values) {
        if (values.join("\n") !== [...select.options].map(option => option.value).join("\n")) {
            const chosen = select.value;
            fill(select, values.map(value => element("option", {value}, value)));
            select.value = values.includes(chosen) ? chosen : values[0] ?? "";
        }
    }

    // --- totals, flow ---

    function showTotals() {
        const total = live && seen.status ? seen.status.total : seen.portfolio && seen.portfolio.total;
        if (!total) { return; }
        const before = seen.before && seen.before.total, portfolio = seen.portfolio && seen.portfolio.total;
        const cards = [["Received", total.received, before && before.received], ["Kept", total.kept, before && before.kept],
            ["Flagged", total.flagged, before && before.flagged], ["Dropped", total.dropped, before && before.dropped]];
        if (portfolio) {
            cards.push(["Duplicates", portfolio.duplicates, before && before.duplicates], ["Rare", portfolio.rare, before && before.rare]);
        }
        if (live) {
            const log = seen.status.log;
            cards.push(["Refused", total.refused], ["In flight", total.in_flight], ["Log", draw.bytes(log.bytes)]);
            for (const encoder of seen.status.influence) { cards.push(["Encoder " + encoder.encoder, encoder.state]); }
        } else {
            cards.push(["Sources", seen.portfolio.sources.length, before && seen.before.sources.length]);
        }
        fill($("totals"), cards.map(([label, value, old]) => element("div", null, element("dt", null, label),
            element("dd", null, typeof value === "number" ? number(value) : value, delta(value, old, number)))));
    }

    function delta(value, old, format) {
        if (!seen.before || !Number.isFinite(value) || !Number.isFinite(old)) { return null; }
        const change = value - old;
        return element("span", {class: "delta"}, ` (${change < 0 ? "−" : "+"}${format(Math.abs(change))})`);
    }

    const flow = {last: null, labels: [], keep: [], flag: [], drop: [], refuse: []};
    function noteFlow(total) {
        const now = performance.now();
        if (flow.last) {
            const seconds = (now - flow.last.now) / 1000;
            flow.labels.push(new Date().toTimeString().slice(0, 8));
            for (const [word, member] of [["keep", "kept"], ["flag", "flagged"], ["drop", "dropped"], ["refuse", "refused"]]) {
                flow[word].push(Math.max(0, (total[member] - flow.last.total[member]) / seconds));
            }
            for (const list of [flow.labels, flow.keep, flow.flag, flow.drop, flow.refuse]) { list.splice(0, list.length - 120); }
        }
        flow.last = {now, total};
        draw.curves($("flow-chart"), flow.labels, ["keep", "flag", "drop", "refuse"].map(word => ({
            label: word, values: flow[word], colour: word})), "", "");
    }

    function showReasons() {
        const verdicts = [...seen.status.verdicts].sort((a, b) => b.n - a.n);
        const all = sum(verdicts.map(verdict => verdict.n));
        fill($("reasons"), verdicts.length
            ? verdicts.map(verdict => row(decision(verdict.decision), [verdict.reason || "–", "name"],
                [number(verdict.n), "number"], element("span", null, bar(verdict.n / all), share(verdict.n / all))))
            : [none(4, "nothing judged since the start")]);
    }

    // --- the portfolio by source, or by group ---

    // What the table and the matrix are of: {rows, repeats, key}; a row has its name under the key.
    function rowsOf(portfolio) {
        const {groups} = portfolio, by = groups && $("by").value.startsWith("group");
        return by ? {rows: groups.rows, repeats: groups.repeats, key: "group"}
            : {rows: portfolio.sources, repeats: portfolio.repeats, key: "source"};
    }

    function chooseBy(from) {
        const groups = seen.portfolio.groups, options = groups ? ["source", `group: ${groups.by}`] : ["source"];
        for (const id of ["by", "repeats-by"]) { choices($(id), options); }
        document.querySelectorAll(".grouped").forEach(box => { box.hidden = !groups; });
        for (const id of ["by", "repeats-by"]) { $(id).value = from && options.includes($(from).value) ? $(from).value : $("by").value; }
    }

    function switchBy(from) {
        chooseBy(from);
        showSources();
        showRepeats();
    }

    const toward = of => of.toward[$("reference").value];
    const trendOf = {
        duplicates: point => point.received ? point.duplicates / point.received : NaN,
        kept: point => point.received ? point.kept / point.received : NaN,
        rare: point => point.scored ? point.rare / point.scored : NaN,
        self: point => point.self ?? NaN, loss: point => point.loss ?? NaN, leverage: point => point.leverage ?? NaN,
    };
    const columns = [
        {title: "Source", value: of => of.source ?? of.group, text: true},
        {title: "Received", value: of => of.received, format: number},
        {title: "Kept", value: of => of.received ? of.kept / of.received : null, format: share},
        {title: "Duplicates", value: of => of.duplicate_share, format: share},
        {title: "Rare", value: of => of.rare_share, format: share},
        {title: "Cost / kept", value: of => of.cost_per_kept, format: number},
        {title: "Mean toward", value: of => toward(of) ? toward(of).mean : null, format: number,
            more: of => toward(of) && toward(of).low !== null ? `${number(toward(of).low)} … ${number(toward(of).high)}` : null},
        {title: "Self, summed", value: of => of.self, format: number},
        {title: "Trend", spark: true},
    ];
    const sorting = {i: 1, down: true};
    let allSources = false;

    function makeHead() {
        fill($("source-table").tHead.rows[0], columns.map((column, i) => {
            const head = element("th", {scope: "col", class: column.text || column.spark ? "" : "number"});
            if (column.spark) {
                head.append(column.title);
                return head;
            }
            const button = element("button", {type: "button"}, column.title);
            button.addEventListener("click", () => {
                sorting.down = sorting.i === i ? !sorting.down : !column.text;
                sorting.i = i;
                showSources();
            });
            head.append(button);
            return head;
        }));
    }

    function sorted(sources) {
        const {value, text} = columns[sorting.i], sign = sorting.down ? -1 : 1;
        return [...sources].sort((a, b) => {
            const x = value(a), y = value(b);
            if (x === null || y === null) { return (x === null) - (y === null); } // what is not known comes last
            return sign * (text ? x.localeCompare(y) : x - y);
        });
    }

    function sourceCell(column, of, old) {
        if (column.spark) {
            return draw.spark(of.trend.points.map(trendOf[$("trend").value]), $("trend").value);
        }
        if (column.text) { return named(column.value(of)); }
        const value = column.value(of), before = old ? column.value(old) : null;
        return [element("span", null, column.format(value), delta(value, before, column.format),
            column.more && column.more(of) ? element("span", {class: "delta interval"}, column.more(of)) : null), "number"];
    }

    function showSources() {
        const portfolio = seen.portfolio, wanted = $("source-find").value.toLowerCase();
        const {rows, key} = rowsOf(portfolio), before = new Map((seen.before ? rowsOf(seen.before).rows : []).map(of => [of[key], of]));
        $("by-word").textContent = key;
        $("source-table").tHead.rows[0].cells[0].firstChild.textContent = key === "group" ? "Group" : "Source";
        choices($("reference"), portfolio.references);
        $("reference").parentElement.hidden = portfolio.references.length === 0;
        $("before-note").hidden = !seen.before;
        const found = sorted(rows.filter(of => name(of[key]).toLowerCase().includes(wanted)));
        const shown = allSources ? found : found.slice(0, SOURCES_SHOWN);
        [...$("source-table").tHead.rows[0].cells].forEach((head, i) => head.setAttribute("aria-sort",
            i !== sorting.i ? "none" : sorting.down ? "descending" : "ascending"));
        fill($("source-table").tBodies[0], shown.length ? shown.map(of => row(...columns.map(column =>
            sourceCell(column, of, before.get(of[key]))))) : [none(columns.length, `no ${key}`)]);
        $("source-all").hidden = found.length <= SOURCES_SHOWN;
        $("source-all").textContent = allSources ? "Show fewer" : `Show all ${number(found.length)}`;
        $("source-count").textContent = `${number(shown.length)} of ${number(rows.length)} ${key}s`;
    }

    // --- advice, alerts, groups ---

    function showAdvice() {
        const {advice, alerts} = seen.portfolio;
        fill($("advice-list"), advice.length
            ? advice.map(one => element("li", null, element("strong", null, one.advice), " ",
                element("b", {class: "name"}, name(one.source)), element("p", {class: "text", dir: "auto"}, one.because),
                element("span", {class: "quiet"}, `confidence ${one.confidence > 0.999 ? "> 99.9 %" : share(one.confidence)}`)))
            : [element("li", null, "Nothing yet that the samples seen can carry.")]);
        fill($("alerts"), alerts.length
            ? alerts.map(one => row(one.cleared === null ? element("span", {class: "drop"}, "now") : "cleared",
                one.kind, named(one.source), [number(one.value), "number"], [number(one.usual), "number"],
                [number(one.offset), "number"], draw.time(one.at_us)))
            : [none(7, "nothing is strange")]);
    }

    function showGroups() {
        const fairness = seen.status.fairness;
        $("fairness").hidden = !fairness;
        if (!fairness) { return; }
        $("fairness-text").textContent = fairness.ratio === null
            ? "Fewer than two groups have enough samples to compare."
            : `Drops differ by a ratio of ${number(fairness.ratio)} between ${name(fairness.high)} `
            + `and ${name(fairness.low)}; at most ${number(fairness.max_ratio)} is wanted`
            + (fairness.unfair ? ": this is more." : ".");
        $("fairness-text").className = fairness.unfair ? "drop" : "";
        fill($("groups"), fairness.groups.map(of => row(named(of.group), [number(of.received), "number"], [number(of.dropped), "number"],
            element("span", null, bar(of.dropped / of.received), share(of.dropped / of.received)))));
    }

    // --- histograms and curves ---

    // [{name, value}] of a score: what similarity makes a duplicate, and numbers that rules hold it against.
    function thresholdsOf(score) {
        const config = seen.config;
        if (!config) { return []; }
        if (score === "similarity") {
            return [...config.thresholds.text.map(value => ({name: "text", value})), {name: "image", value: config.thresholds.image}];
        }
        const escaped = score.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
        const compared = new RegExp(
            "(?<![\\w.])(?:influence\\.)?" + escaped + "\\s*[<>]=?\\s*(-?[\\d.]+(?:e[-+]?\\d+)?)", "gi");
        const quantile = new RegExp("percentile\\." + escaped + "\\s*[<>]=?\\s*([\\d.]+)", "g");
        const own = distributionOf(score);
        return config.rules.flatMap(rule => [
            ...[...rule.when.matchAll(compared)].map(found => ({name: rule.do, value: Number(found[1])})),
            ...[...rule.when.matchAll(quantile)].map(found => ({name: rule.do, value: own ? quantileOf(own, Number(found[1])) : NaN})),
        ]).filter(line => Number.isFinite(line.value));
    }

    function distributionOf(score) {
        const own = seen.portfolio && seen.portfolio.total.distributions;
        return !own ? null : score.startsWith("toward.") ? own.toward[score.slice(7)] : own[score];
    }

    const QUANTILES = [["p01", 0.01], ["p05", 0.05], ["p25", 0.25], ["p50", 0.5], ["p75", 0.75], ["p95", 0.95], ["p99", 0.99]];
    function quantileOf(own, part) {
        const at = QUANTILES.findIndex(([, of]) => of >= part);
        if (at <= 0) { return at === 0 ? own.p01 : own.p99; }
        const [low, from] = QUANTILES[at - 1], [high, to] = QUANTILES[at];
        return own[low] + (own[high] - own[low]) * (part - from) / (to - from);
    }
    // Share of the samples below a value, from quantiles.
    function partBelow(own, value) {
        if (value <= own.p01) { return 0; }
        const at = QUANTILES.findIndex(([key]) => own[key] >= value);
        if (at < 0) { return 1; }
        const [low, from] = QUANTILES[at - 1], [high, to] = QUANTILES[at];
        return own[high] > own[low] ? from + (to - from) * (value - own[low]) / (own[high] - own[low]) : to;
    }

    // Of duplicates that are not equal: those are all at 1.
    function similarityBins() {
        const bins = new Array(50).fill(0);
        for (const {similarity} of seen.status.duplicates.filter(of => of.method !== "exact")) {
            similarity.forEach((n, i) => { bins[i] += n; });
        }
        return bins;
    }

    function chartBox(key) {
        const id = "histogram-" + key;
        if (!$(id)) {
            const box = element("div", {class: "chart"}, element("canvas", {id, role: "img"}));
            $("histograms").append(element("div", null, element("h3", null, key), box));
        }
        return $(id);
    }

    // Where a value is, in bins from the left edge of the first.
    function positionOf(value, edges) {
        const i = edges.findIndex(edge => value <= edge);
        const low = i > 0 ? edges[i - 1] : edges[0] - (edges[1] - edges[0]);
        return i < 0 ? edges.length : i - 0.5 + (edges[i] > low ? Math.max(0, (value - low) / (edges[i] - low)) : 0);
    }

    const linesOf = (score, edges) => thresholdsOf(score).map(line => ({
        position: positionOf(line.value, edges), label: `${line.name} ${number(line.value)}`}));

    function showHistograms() {
        if (seen.status && (live || sum(similarityBins()) > 0)) {
            const bins = similarityBins(), first = 10;
            const edges = bins.map((_, i) => (i + 1) / bins.length).slice(first);
            draw.histogram(chartBox("similarity"), bins.slice(first).map((count, i) => ({label: edges[i].toFixed(2), count})),
                linesOf("similarity", edges),
                `Similarity of ${number(sum(bins))} duplicates that are not equal`);
        }
        for (const score of scoreNames()) {
            const own = distributionOf(score);
            if (!own || !own.histogram) { continue; }
            const edges = own.histogram.map(bin => bin[0]);
            draw.histogram(chartBox(score), own.histogram.map(([edge, count]) => ({label: number(edge), count})),
                linesOf(score, edges),
                `${score}: median ${number(own.p50)}, 5 % below ${number(own.p05)}, 5 % above ${number(own.p95)}`);
        }
    }

    const scoreNames = () => [...SCORES, ...(seen.portfolio ? seen.portfolio.references.map(reference => "toward." + reference) : [])];

    function showCurves() {
        const curves = seen.portfolio.curves, known = Object.keys(curves).filter(of => Object.keys(curves[of]).length > 0);
        $("curve-box").hidden = known.length === 0;
        if (known.length > 0) {
            choices($("curve-of"), known);
            const of = curves[$("curve-of").value];
            draw.curves($("curve-chart"), Array.from({length: 101}, (_, i) => i + " %"),
                Object.keys(of).map(ordering => ({
                    label: "by " + ordering, values: of[ordering].map(part => 100 * part)})),
                "kept, of the scored samples", "% of the influence");
        }
    }

    // --- what if ---

    // What is known of a score: [[value, samples, decision or null], ...] by value, and how many samples that is.
    function valuesOf(score) {
        const recent = seen.recent && seen.recent[score];
        if (recent && recent.some(value => value !== null)) {
            const values = recent.map((value, i) => [value, 1, seen.recent.decision[i]]).filter(one => one[0] !== null);
            return {values: values.sort((a, b) => a[0] - b[0]), n: recent.length, of: "records looked at last"};
        }
        const own = distributionOf(score);
        if (score === "similarity" || !own || !own.histogram) { return {values: [], n: 0, of: ""}; }
        const n = seen.portfolio.total.scored, values = own.histogram.map(([edge, count]) => [edge, count, null]);
        const rest = n - sum(own.histogram.map(bin => bin[1]));
        values.push([own.p99 + Math.abs(own.p99) * 1e-6, Math.max(0, rest), null]);
        return {values, n, of: "scored samples, to a bin of the histogram"};
    }

    function valueAtSlider(score, known) {
        const part = $("whatif-slider").value / 1000;
        if (score === "similarity") { return Number((0.3 + 0.7 * part).toFixed(3)); }
        const wanted = part * sum(known.values.map(one => one[1]));
        let reached = 0, last = 0;
        for (const [value, n] of known.values) { // the edge whose rank is nearest: bins are coarse
            if (reached + n >= wanted) { return Number((wanted - reached < n / 2 ? last || value : value).toPrecision(4)); }
            reached += n;
            last = value;
        }
        return 0;
    }

    function showWhatif(fromSlider) {
        choices($("whatif-score"), [...(live ? ["similarity"] : []), ...scoreNames(), ...(live ? ["source_shift"] : [])]);
        const score = $("whatif-score").value, above = $("whatif-side").value === "above", known = valuesOf(score);
        if (known.values.length === 0) {
            $("whatif-text").textContent = `Nothing is known of ${score} yet.`;
            fill($("whatif-sources"), [none(3, "–")]);
            return;
        }
        if (fromSlider || $("whatif-value").value === "") { $("whatif-value").value = valueAtSlider(score, known); }
        const limit = Number($("whatif-value").value);
        $("whatif-slider").setAttribute("aria-valuetext", number(limit));
        const hit = known.values.filter(([value]) => above ? value >= limit : value <= limit), n = sum(hit.map(one => one[1]));
        const by = word => hit.filter(one => one[2] === word).length;
        $("whatif-text").textContent = `${score} ${above ? "≥" : "≤"} ${number(limit)} would have dropped `
            + `${number(n)} of ${number(known.n)} ${known.of} (${share(n / known.n)}).`
            + (hit.length && hit[0][2] !== null
                ? ` Of them ${by("keep")} were kept, ${by("flag")} flagged and ${by("drop")} dropped anyway.` : "");
        showWhatifSources(score, limit, above);
    }

    function showWhatifSources(score, limit, above) {
        const own = of => score.startsWith("toward.") ? of.quantiles.toward[score.slice(7)] : of.quantiles[score];
        const part = of => above ? 1 - partBelow(own(of), limit) : partBelow(own(of), limit);
        const sources = seen.portfolio ? seen.portfolio.sources.filter(of => own(of)) : [];
        const parts = sources.map(of => ({of, part: part(of)}));
        parts.sort((a, b) => b.part - a.part || b.of.received - a.of.received);
        fill($("whatif-sources"), parts.length
            ? parts.slice(0, WHATIF_SHOWN).map(one => row(named(one.of.source), [number(one.of.received), "number"],
                element("span", null, bar(one.part), "≈ " + share(one.part))))
            : [none(3, "not known by source")]);
    }

    // --- repeats ---

    function showRepeats() {
        const {repeats: cells, key} = rowsOf(seen.portfolio), weight = new Map();
        for (const cell of cells) {
            for (const of of [cell[key], cell.of]) { weight.set(of, (weight.get(of) || 0) + cell.count); }
        }
        const shown = [...weight.keys()].sort((a, b) => weight.get(b) - weight.get(a)).slice(0, MATRIX_SHOWN);
        const count = new Map(cells.map(cell => [JSON.stringify([cell[key], cell.of]), cell.count]));
        const most = Math.max(1, ...cells.map(cell => cell.count));
        const head = element("tr", null, element("th", {scope: "col"}, "repeats ↓ of\u00a0→"),
            ...shown.map(of => element("th", {scope: "col"}, name(of))));
        fill($("matrix"), shown.length ? [element("thead", null, head), element("tbody", null, ...shown.map(source => {
            const line = element("tr", null, element("th", {scope: "row"}, name(source)));
            for (const of of shown) {
                const n = count.get(JSON.stringify([source, of])) || 0, cell = element("td", null, n ? number(n) : "");
                cell.style.setProperty("--part", Math.sqrt(n / most));
                line.append(cell);
            }
            return line;
        }))] : [element("tbody", null, none(1, "nothing repeats anything yet"))]);
        $("repeats-note").textContent = weight.size > shown.length
            ? `The ${shown.length} of ${number(weight.size)} ${key}s with most repeats.` : "";
    }

    // --- labels ---

    function showLabels() {
        const labels = seen.portfolio.labels;
        fill($("label-list"), labels.length
            ? labels.slice(0, LABELS_SHOWN).map(of => row([of.id, "name"], named(of.source), [number(of.offset), "number"],
                [number(of.score), "number"], [number(of.leverage), "number"], [number(of.influence), "number"]))
            : [none(6, "nothing yet")]);
        $("labels-csv").disabled = labels.length === 0;
    }

    function downloadLabels() {
        draw.download("label-first.csv", "text/csv", draw.csv([["id", "source", "offset", "score", "leverage", "influence"],
            ...seen.portfolio.labels.map(of => [of.id, of.source ?? "", of.offset, of.score, of.leverage, of.influence])]));
        $("labels-state").textContent = `${number(seen.portfolio.labels.length)} samples written to label-first.csv`;
    }

    // --- all of it ---

    // What draws each section, once its data are there. The live part of the page calls these too.
    function showPortfolio() {
        chooseBy();
        showTotals();
        showSources();
        showAdvice();
        showHistograms();
        showCurves();
        showRepeats();
        showLabels();
        showWhatif(false);
    }

    function listen() {
        const trend = element("select", {id: "trend"}, ...Object.keys(trendOf).map(value => element("option", {value}, value)));
        $("source-all").before(element("label", null, "Trend ", trend));
        for (const [id, event, act] of [
            ["source-find", "input", showSources], ["reference", "change", showSources], ["trend", "change", showSources],
            ["curve-of", "change", showCurves], ["labels-csv", "click", downloadLabels],
            ["whatif-slider", "input", () => showWhatif(true)], ["whatif-value", "input", () => showWhatif(false)],
            ["whatif-score", "change", () => showWhatif(true)], ["whatif-side", "change", () => showWhatif(false)],
            ["by", "change", () => switchBy("by")], ["repeats-by", "change", () => switchBy("repeats-by")],
            ["source-all", "click", () => { allSources = !allSources; showSources(); }]]) {
            $(id).addEventListener(event, act);
        }
        makeHead();
    }

    // --- the report ---

    // What the API would say, from what the report holds.
    function answer(path) {
        const [, what, query] = /^\/api\/v1\/(\w+)\?(.*)$/.exec(path), wanted = new URLSearchParams(query);
        const sample = offset => data.samples[offset] ?? null;
        if (what === "duplicates") {
            const pairs = data.pairs.map(pair => ({...pair, sample: sample(pair.sample), of: sample(pair.of) ?? {record: pair.of_record}}));
            return {pairs, found_since_start: sum(data.similarity.map(method => method.n))};
        }
        const top = data.tops.find(list => list.by === wanted.get("by") && list.order === wanted.get("order"));
        return {samples: top ? top.samples.map(([value, offset]) => ({value, sample: sample(offset)})) : []};
    }

    function describe() {
        const looked = `${number(data.looked_at)} sample${data.looked_at === 1 ? "" : "s"}`;
        $("pairs-title").textContent = "Duplicates: the least alike first";
        $("top-note").textContent = `Of the ${data.payloads ? "newest " : ""}${looked} that were looked at.`
            + (data.missing ? ` ${data.missing}: there is nothing to read of them here.` : "");
        $("scores-note").textContent = `Similarity: of the duplicates among ${looked}, without equal bytes. `
            + (!data.config ? "No thresholds: a file of verdicts does not hold them; they are drawn where the report is made with -c FILE."
                : data.config.rules.length ? "Dashed: thresholds."
                : "Dashed: thresholds of the state; those of rules are drawn where the report is made with -c FILE.");
        return looked;
    }

    listen();
    if (live) {
        watchLive({seen, noteFlow, showTotals, showReasons, showGroups, showHistograms, showPortfolio, showWhatif,
            decision, name, choices, scoreNames, TAP_SHOWN, noPayload: ""});
    } else {
        $("name").textContent = data.name;
        $("period").textContent = data.period;
        $("state").textContent = data.beside;
        $("made").textContent = data.made;
        document.title = `${data.name} — Sluice`;
        const looked = describe();
        showPortfolio();
        watchLive({seen, decision, name, choices, scoreNames, answer, looked,
            noPayload: data.missing ? "its payload is not in this report" : "not in the part of the log that was looked at"});
    }
})();
