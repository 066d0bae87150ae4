/// What `wire` may not say.
extension PlanRefusal {
    private static func wire(_ text: String, _ message: String) -> PlanRefusal {
        PlanRefusal(planText("wire: {\(text)}"), "p.yaml:3: \(message)")
    }

    private static func up(_ text: String, _ message: String) -> PlanRefusal { wire("up: {\(text)}", message) }

    static let wire: [PlanRefusal] = words + choices + budgets + chosenByTheBudget + corrections

    private static let words: [PlanRefusal] = [
        wire("budgte: 1KB", "unknown key 'budgte' in wire; did you mean 'budget'?"),
        up("momentun: 0.5", "unknown key 'momentun' in wire.up; did you mean 'momentum'?"),
        up("values: bfloat61", "unknown values 'bfloat61' in wire.up; did you mean 'bfloat16'?"),
        up(
            "values: qqqqqqq",
            "unknown values 'qqqqqqq' in wire.up; available: float32, float16, bfloat16, int8, int6, int4, int3, int2, "
                + "ternary, sign, codebook16, codebook256"),
        up("density: 0.5, selection: treshold", "unknown selection 'treshold' in wire.up; did you mean 'threshold'?"),
        up("scale: larges", "unknown scale 'larges' in wire.up; did you mean 'largest'?"),
        up("coding: rice", "unknown coding 'rice' in wire.up; available: automatic, smallest, plain"),
        up("values: codebook16, levels: kmeans", "unknown levels 'kmeans' in wire.up; did you mean 'kMeans'?"),
        up("rotate: 1", "'rotate' in wire.up must be true or false, found '1'"),
    ]

    private static let choices: [PlanRefusal] = [
        up("selection: exact", "'selection' in wire.up needs a density below 1, such as density: 0.05"),
        up("density: 1, selection: block", "'selection' in wire.up needs a density below 1, such as density: 0.05"),
        up("values: int4, levels: normalFloat", "'levels' in wire.up needs values: codebook16 or codebook256"),
        up("rotate: true", "'rotate' in wire.up needs values: one of int4, int3, int2, ternary, sign, codebook16"),
        up(
            "values: codebook256, rotate: true",
            "'rotate' in wire.up needs values: one of int4, int3, int2, ternary, sign, codebook16"),
        up("block: 65537", "'block' in wire.up must be an integer from 1 to 65536, found '65537'"),
    ]

    private static let budgets: [PlanRefusal] = [
        wire("budget: 999", sizes("wire", "999")),
        wire("budget: 5GiB", sizes("wire", "5GiB")),
        up("budget: '200KB'", sizes("wire.up", "the text \"200KB\"", quotes: "")),
        wire("bandwidth: 1MB", rates("wire", "1MB")),
        up("bandwidth: 999/s", rates("wire.up", "999/s")),
        up("bandwidth: 2TB/s", rates("wire.up", "2TB/s")),
        wire(
            "bandwidth: 1MB/s, transfer: 0",
            "'transfer' in wire must be a duration from 0.001 to 86400 seconds, "
                + "written like 90, 90s, 2m, 1h or 500ms, found '0'"),
        wire("budget: 1KB, bandwidth: 1MB/s", "'budget' and 'bandwidth' in wire exclude each other; keep one"),
        up("budget: 1KB, bandwidth: 1MB/s", "'budget' and 'bandwidth' in wire.up exclude each other; keep one"),
        wire("transfer: 2s", "'transfer' in wire needs bandwidth, such as bandwidth: 1MB/s"),
        up("transfer: 2s", "'transfer' in wire.up needs bandwidth, such as bandwidth: 1MB/s"),
        up("budget: 1KB, transfer: 2s", "'transfer' in wire.up needs bandwidth, such as bandwidth: 1MB/s"),
        wire("budget: 1KB, up: {transfer: 2s}", "'transfer' in wire.up needs bandwidth, such as bandwidth: 1MB/s"),
        // `density` does without what `wire` says, so there is no line left to complete.
        wire(
            "bandwidth: 1MB/s, up: {density: 0.1, transfer: 2s}",
            "'transfer' in wire.up needs bandwidth, such as bandwidth: 1MB/s"),
        wire(
            "bandwidth: 1KB/s, transfer: 10ms",
            "'bandwidth' times 'transfer' in wire is 10; an update takes from 1KB to 4GiB, change either"),
        wire(
            "bandwidth: 1GB/s, up: {transfer: 1m}",
            "'bandwidth' times 'transfer' in wire.up is 60GB; an update takes from 1KB to 4GiB, change either"),
    ]

    private static func sizes(_ place: String, _ found: String, quotes: String = "'") -> String {
        "'budget' in \(place) must be a size from 1KB to 4GiB, written like 65536, 64KiB, 1MiB or 4GiB, "
            + "found \(quotes)\(found)\(quotes)"
    }

    private static func rates(_ place: String, _ found: String) -> String {
        "'bandwidth' in \(place) must be a rate from 1KB/s to 1TB/s, written like 200KB/s or 1MiB/s, found '\(found)'"
    }

    /// Each key that a budget stands in for, with a value that is right without one.
    private static let chosenByTheBudget: [PlanRefusal] = [
        ("density", "0.5"), ("selection", "exact"), ("values", "int8"), ("levels", "kMeans"), ("rotate", "false"),
        ("small", "float16"), ("smallElements", "1024"),
    ].flatMap { key, value in
        let own = { (budget: String) in
            "'\(key)' and '\(budget)' in wire.up exclude each other: a budget chooses for each tensor; keep one"
        }
        let plain = [
            up("\(key): \(value), budget: 1KB", own("budget")),
            up("\(key): \(value), bandwidth: 1MB/s", own("bandwidth")),
        ]
        guard key != "density", key != "values" else { return plain }
        return plain + [
            wire(
                "budget: 1KB, up: {\(key): \(value)}",
                "'\(key)' in wire.up and 'budget' in wire exclude each other: a budget chooses for each tensor; "
                    + "keep one, or write 'values' too to do without the budget")
        ]
    }

    private static let corrections: [PlanRefusal] = [
        wire("down: {momentum: 0}", "'momentum' in wire.down is for the updates of workers; write it in wire.up"),
        wire("down: {clip: 1}", "'clip' in wire.down is for the updates of workers; write it in wire.up"),
        up("momentum: 1", "'momentum' in wire.up must be a number from 0 and below 1, found '1'"),
        up("momentum: -0.1", "'momentum' in wire.up must be a number from 0 and below 1, found '-0.1'"),
        up("clip: 0", "'clip' in wire.up must be a number above 0 and at most 1000000000, found '0'"),
        up("clip: inf", "'clip' in wire.up must be a number above 0 and at most 1000000000, found 'inf'"),
        up("density: 0.1, momentum: 0.5, errorFeedback: false", "'momentum' in wire.up needs errorFeedback: true"),
        up("budget: 1KB, momentum: 0.5, errorFeedback: false", "'momentum' in wire.up needs errorFeedback: true"),
        up(
            "momentum: 0.5",
            "'momentum' in wire.up needs a density below 1 or a budget: it moves what is not sent"),
    ]
}
