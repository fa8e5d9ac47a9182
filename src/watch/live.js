// live.js - what single samples are needed for: pairs, what stands out; of a running filter also
// flow, live tap and rules.
"use strict";

function watchLive(page) {
    const {$, element, fill, number, row, none} = draw;
    const {seen, decision, name, choices} = page;
    const STATUS_MS = 1000, PORTFOLIO_MS = 2000, SAMPLES_MS = 10000, TAP_MS = 400; // between two looks
    const ANSWER_MS = 15000, CHANGE_MS = 20000; // until an answer is given up; a change is answered in 10 s
    const PAIRS = 20, TOP = 10;
    let answeredAt = performance.now();

    async function get(path) {
        if (page.answer) { return page.answer(path); } // a report holds its answers
        const answer = await fetch(location.origin + path,
            {signal: AbortSignal.timeout(ANSWER_MS), headers: {Accept: "application/json"}});
        if (!answer.ok) { throw new Error(`${path}: ${answer.status}`); }
        return answer.json();
    }

    // Asks again and again; one thread answers everybody, so that a filter that takes long is asked less often.
    function poll(every, ask) {
        const turn = async () => {
            const began = performance.now();
            let wait = every;
            try {
                if (!document.hidden) {
                    await ask();
                    answeredAt = performance.now();
                    wait = Math.max(every, Math.min(15000, 30 * (answeredAt - began)));
                }
            } catch (fault) {
                showFault(fault);
            }
            setTimeout(turn, wait);
        };
        return turn();
    }

    function showFault(fault) {
        $("state").className = "bad";
        $("state").textContent = `no answer for ${number(Math.round((performance.now() - answeredAt) / 1000))} s (${fault.message})`;
    }

    // --- status ---

    async function askStatus() {
        const status = seen.status = await get("/api/v1/status");
        const holds = seen.portfolio ? seen.portfolio.alerts.filter(alert => alert.cleared === null).length : 0;
        $("name").textContent = status.name;
        document.title = `${status.name} — Sluice`;
        $("state").className = status.ready ? "" : "bad";
        $("state").textContent = (status.ready ? "ready" : "not ready")
            + ` · up ${span(status.process.uptime_s)} · ${draw.bytes(status.process.resident_bytes)}`
            + ` · producers ${number(status.n_producers)} · lag ${number(Math.max(0, ...status.groups.map(group => group.lag)))}`
            + (holds ? ` · ${holds} alert${holds > 1 ? "s" : ""}` : "");
        $("made").textContent = `Sluice ${status.version}, configuration ${status.config_hash}`;
        page.noteFlow(status.total);
        page.showTotals();
        page.showReasons();
        page.showGroups();
    }

    function span(seconds) {
        return seconds < 120 ? `${Math.round(seconds)} s` : seconds < 7200 ? `${Math.round(seconds / 60)} min`
            : seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
    }

    async function askPortfolio() {
        seen.portfolio = await get("/api/v1/portfolio");
        page.showPortfolio();
        chooseTops();
    }

    // --- the tap ---

    const tap = {source: null, waiting: [], shown: [], missed: 0, paused: false};

    function openTap() {
        closeTap();
        if (tap.paused || document.hidden) { return; }
        const query = new URLSearchParams();
        if ($("tap-decision").value) { query.set("decision", $("tap-decision").value); }
        if ($("tap-source").value) { query.set("source", $("tap-source").value); }
        tap.source = new EventSource(location.origin + "/api/v1/tap?" + query);
        tap.source.onmessage = event => {
            tap.waiting.push(event.data);
            if (tap.waiting.length > page.TAP_SHOWN) {
                tap.waiting.shift();
                tap.missed++;
            }
        };
        tap.source.addEventListener("gap", event => {
            const gap = JSON.parse(event.data);
            tap.missed += gap.lost + gap.skipped;
        });
        tap.source.onerror = () => {
            if (tap.source && tap.source.readyState === EventSource.CLOSED) {
                $("tap-state").textContent = "not connected; trying again";
                closeTap();
                setTimeout(openTap, 5000);
            }
        };
    }

    function closeTap() {
        if (tap.source) {
            tap.source.close();
            tap.source = null;
        }
    }

    function tapRow(record) {
        const influence = record.influence, of = record.duplicate;
        return row(decision(record.decision), [record.reasons.join(", ") || "–", "name"],
            [record.id, "name"], [name(record.source), "name"],
            [of ? `${of.of} (${of.method} ${number(of.similarity)})` : "–", "name"], [number(influence && influence.self), "number"]);
    }

    function showTap() {
        if (tap.paused) { return; }
        if (tap.waiting.length > 0) {
            const rows = tap.waiting.splice(0).reverse().map(text => tapRow(JSON.parse(text)));
            tap.shown = [...rows, ...tap.shown].slice(0, page.TAP_SHOWN);
            fill($("tap"), tap.shown);
        } else if (tap.shown.length === 0) {
            fill($("tap"), [none(6, "nothing has come since this page looks")]);
        }
        if (tap.source) { $("tap-state").textContent = tap.missed ? `${number(tap.missed)} more not shown` : "live"; }
    }

    function pauseTap() {
        tap.paused = !tap.paused;
        $("tap-pause").setAttribute("aria-pressed", String(tap.paused));
        $("tap-pause").textContent = tap.paused ? "Go on" : "Pause";
        $("tap-state").textContent = tap.paused ? "paused" : "";
        openTap();
    }

    function filterTap() {
        tap.shown = [];
        tap.waiting = [];
        tap.missed = 0;
        fill($("tap"), []);
        openTap();
    }

    // --- samples ---

    function picture(sample) {
        const image = element("img", {alt: `picture of ${sample.record.id}`, loading: page.answer ? "eager" : "lazy"});
        if (/^(\/api\/v1\/thumbnail\/\d+|data:image\/png;base64,[A-Za-z0-9+/=]+)$/.test(sample.thumbnail)) { image.src = sample.thumbnail; }
        return image;
    }

    function who(sample) {
        const {record} = sample;
        return element("p", {class: "who", dir: "auto"}, record.decision ? decision(record.decision) : null,
            ` ${record.id} · ${name(record.source)}`
            + (Number.isFinite(sample.offset) ? ` · offset ${number(sample.offset)}` : "")
            + (sample.media_type ? ` · ${sample.media_type}` : "")
            + (Number.isFinite(sample.bytes) ? ` · ${draw.bytes(sample.bytes)}` : ""));
    }

    // Why there is nothing to read of it; null if there is.
    function silent(sample) {
        if (typeof sample.text === "string" || sample.thumbnail) { return null; }
        return sample.media_type === undefined ? page.noPayload : "no picture can be made of it";
    }

    function content(sample, body) {
        if (sample === null) { return element("p", {class: "quiet"}, "no longer in the log"); }
        const why = silent(sample);
        return element("div", null, who(sample),
            why ? element("p", {class: "quiet"}, why) : sample.thumbnail ? picture(sample) : body(),
            sample.text_is_cut ? element("p", {class: "quiet"}, "… cut here") : null);
    }

    const plain = text => element("p", {class: "text", dir: "auto", tabindex: "0"}, text ?? "");

    // --- changes: a dropped sample comes back, a kept one is forgotten ---

    for (const word of ["yes", "no"]) { $("confirm-" + word).addEventListener("click", () => $("confirm").close(word)); }

    // Resolves to whether a person said yes; Escape is a no.
    function confirmed(question) {
        const dialog = $("confirm");
        $("confirm-text").textContent = question;
        dialog.returnValue = "no";
        dialog.showModal();
        return new Promise(resolve => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), {once: true}));
    }

    // The header is what no page of another site can send here.
    async function change(verb, id, offset) {
        const answer = await fetch(`${location.origin}/api/v1/${verb}/${encodeURIComponent(id)}`, {
            method: "POST", signal: AbortSignal.timeout(CHANGE_MS),
            headers: {"Content-Type": "application/json", "X-Sluice": "1"}, body: JSON.stringify({offset})});
        const said = await answer.json();
        if (!answer.ok) {
            throw new Error(said.error + (said.offset === undefined ? "" : `: it is kept at offset ${number(said.offset)}`));
        }
        return said;
    }

    // A button that asks first, acts, and says what came of it.
    function asking(label, question, act) {
        const said = element("span", {class: "quiet", role: "status"}), button = element("button", {type: "button"}, label);
        let acts = false;
        button.addEventListener("click", async () => {
            if (acts || !await confirmed(question)) { return; }
            acts = true;
            said.textContent = "…";
            try {
                said.textContent = await act();
            } catch (fault) {
                said.textContent = fault.message;
            }
            acts = false;
        });
        return [button, " ", said];
    }

    const restoreButton = (id, source, offset) => asking("Restore",
        `Offer ${id} of ${name(source)}, dropped at offset ${number(offset)}, again as kept, to every consumer group?`,
        async () => `restored: kept at offset ${number((await change("restore", id, offset)).offset)}`);

    // The button, and the command for who may not press it (a report has nobody to ask); the latter
    // only for ids that can be typed.
    function restoring(sample) {
        if (sample === null || sample.record.decision !== "drop") { return null; }
        const {id, source} = sample.record;
        const box = element("details", null, element("summary", null, "Wrongly dropped? Bring it back"),
            page.answer ? null : element("p", null, ...restoreButton(id, source, sample.offset)));
        if (/^[\x21-\x7e]+( [\x21-\x7e]+)*$/.test(id) && !id.startsWith("-")) {
            const ingest = seen.config && /^ {2}ingest: "?(tcp:\/\/[\w.:\-[\]*]+|ipc:\/\/[\w./-]+)/m.exec(seen.config.yaml);
            const command = `sluice state restore '${id.replaceAll("'", "'\\''")}' --offset ${sample.offset}`
                + (ingest ? ` --to ${ingest[1]}` : "");
            box.append(element("p", {class: "quiet"}, "From a shell: ", element("code", null, command)));
        }
        return box;
    }

    function dependentRow(one) {
        const what = `${one.id} · ${name(one.source)} · offset ${number(one.offset)} · ${one.method} ${number(one.similarity)}`;
        return element("li", null, element("span", {class: "name", dir: "auto"}, what), " ",
            ...(one.restored_at === null ? restoreButton(one.id, one.source, one.offset)
                : [element("span", {class: "quiet"}, `restored at offset ${number(one.restored_at)}`)]));
    }

    // One search at a time is answered; whoever comes second asks again.
    async function getPatiently(path) {
        for (let left = 5; ; left--) {
            try {
                return await get(path);
            } catch (fault) {
                if (left === 0 || !fault.message.endsWith(" 503")) { throw fault; }
                await new Promise(resolve => setTimeout(resolve, 1000));
            }
        }
    }

    // What a kept sample has cost others, looked for when somebody wants to know.
    function lineage(sample) {
        if (page.answer || sample === null || !["keep", "flag"].includes(sample.record.decision)) { return null; }
        const {id} = sample.record;
        const list = element("ul", {class: "dependents"}), said = element("p", {class: "quiet", role: "status"});
        const box = element("details", null, element("summary", null, "What was dropped in its favour"), said, list,
            element("p", null, ...asking("Forget",
                `Forget ${id}, kept at offset ${number(sample.offset)}? It stays with its consumers, `
                    + "and represents no others from now on.",
                async () => `it represents no sample from offset ${number((await change("forget", id, sample.offset)).from_offset)} on`)));
        box.addEventListener("toggle", async () => {
            if (!box.open) { return; }
            said.textContent = "searching the log …";
            try {
                const found = await getPatiently("/api/v1/dependents/" + encodeURIComponent(id));
                fill(list, found.dependents.map(dependentRow));
                said.textContent = `${number(found.found)} found`
                    + (found.found > found.dependents.length ? `, the newest ${found.dependents.length} shown` : "")
                    + (found.complete ? "" : "; the log was too long to be searched whole");
            } catch (fault) {
                said.textContent = fault.message;
            }
        });
        return box;
    }

    function pairBox(pair) {
        const both = pair.sample && pair.of && typeof pair.sample.text === "string" && typeof pair.of.text === "string";
        const parts = both ? draw.difference(pair.of.text, pair.sample.text) : null;
        return element("article", {class: "pair"}, element("h3", null, `${pair.method}, similarity ${number(pair.similarity)}`),
            element("div", {class: "columns"},
                element("div", null, element("strong", null, "Remembered"),
                    content(pair.of, () => parts ? draw.marked(parts, "-") : plain(pair.of.text)), lineage(pair.of)),
                element("div", null, element("strong", null, "Came again"),
                    content(pair.sample, () => parts ? draw.marked(parts, "+") : plain(pair.sample.text)))),
            restoring(pair.sample));
    }

    function showPairs() {
        const wanted = $("pairs-method").value, pairs = seen.pairs.filter(pair => !wanted || pair.method === wanted);
        fill($("pair-list"), pairs.length ? pairs.map(pairBox) : [element("p", {class: "quiet"}, "none")]);
        $("pairs-state").textContent = `${number(pairs.length)} shown, ${number(seen.found)} found `
            + (page.answer ? `among ${page.looked}` : "since the start");
    }

    async function askPairs() {
        const answer = await get("/api/v1/duplicates?n=" + PAIRS);
        if (JSON.stringify(answer.pairs) !== seen.pairsText || answer.found_since_start !== seen.found) {
            seen.pairs = answer.pairs;
            seen.pairsText = JSON.stringify(answer.pairs);
            seen.found = answer.found_since_start;
            showPairs();
        }
    }

    function chooseTops() {
        choices($("top-by"), ["self", ...page.scoreNames().filter(score => score.startsWith("toward.")), "loss"]);
    }

    async function askTop(list, by, order) {
        const answer = await get(`/api/v1/top?n=${TOP}&by=${encodeURIComponent(by)}&order=${order}`);
        const text = JSON.stringify(answer.samples);
        if ($(list).shownText !== text) {
            $(list).shownText = text;
            const samples = answer.samples.filter(one => one.sample !== null);
            fill($(list), samples.length
                ? samples.map(one => element("li", null, element("strong", null, number(one.value)),
                    content(one.sample, () => plain(one.sample.text)), lineage(one.sample)))
                : [element("li", {class: "quiet"}, "no scored sample was looked at yet")]);
        }
    }

    const askTops = () => Promise.all([
        askTop("top-list", $("top-by").value || "self", $("top-order").value),
        askTop("rare-list", $("rare-by").value, "desc")]);

    // What somebody reads does not move away under them.
    const isRead = id => $("confirm").open || $(id).matches(":focus-within") || ($(id).matches(":hover") && performance.now() > 5000);

    async function askSamples() {
        seen.recent = await get("/api/v1/recent");
        page.showWhatif(false);
        if (!isRead("pairs")) { await askPairs(); }
        if (!isRead("top")) { await askTops(); }
    }

    // --- rules ---

    async function askConfig() {
        const config = seen.config = await get("/api/v1/config");
        fill($("rule-list"), config.rules.length
            ? config.rules.map(rule => row(element("code", null, rule.when), decision(rule.do), [rule.reason || "–", "name"]))
            : [none(3, "no rule: all is kept")]);
        $("config").textContent = config.yaml;
    }

    // --- begin ---

    const guarded = act => async () => {
        try { await act(); } catch (fault) { showFault(fault); }
    };
    for (const [id, event, act] of [
        ["tap-pause", "click", pauseTap], ["tap-decision", "change", filterTap], ["tap-source", "change", filterTap],
        ["pairs-again", "click", guarded(askPairs)], ["pairs-method", "change", showPairs], ["top-by", "change", guarded(askTops)],
        ["top-order", "change", guarded(askTops)], ["rare-by", "change", guarded(askTops)]]) {
        $(id).addEventListener(event, act);
    }
    if (page.answer) {
        chooseTops();
        guarded(askPairs)();
        guarded(askTops)();
        return;
    }
    document.addEventListener("visibilitychange", () => document.hidden ? closeTap() : openTap());
    setInterval(showTap, TAP_MS);
    openTap();
    poll(STATUS_MS, askStatus);
    guarded(askConfig)().then(() => poll(PORTFOLIO_MS, askPortfolio)).then(() => poll(SAMPLES_MS, askSamples));
    setInterval(guarded(askConfig), 30000); // rules are read again while the filter runs
}
