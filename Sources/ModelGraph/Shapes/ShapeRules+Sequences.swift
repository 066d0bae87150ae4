import Tensors

// Recurrent layers, attention and Einsum.
extension ShapeRules {
    /// Y, Y_h and Y_c; axes are [sequence, directions, batch, hidden], or with `layout` 1 batch first.
    static func recurrent(_ view: NodeShapes, gates: Int) throws(ModelError) -> [Shape] {
        let (x, w, r) = (try view.input(0), try view.input(1), try view.input(2))
        guard x.rank == 3, w.rank == 3, r.rank == 3 else { throw view.invalid("inputs X, W and R need three axes") }
        let direction = view.node.string("direction") ?? "forward"
        guard ["forward", "reverse", "bidirectional"].contains(direction) else {
            throw view.invalid("direction '\(direction)' is unknown")
        }
        let directions = direction == "bidirectional" ? 2 : 1
        let hidden = r[2]
        if let declared = view.node.int("hidden_size"), declared != Int64(hidden) {
            throw view.invalid("hidden_size \(declared) differs from R \(r)")
        }
        let (rows, overflow) = hidden.multipliedReportingOverflow(by: gates)
        guard !overflow, w.dimensions == [directions, rows, x[2]], r.dimensions == [directions, rows, hidden] else {
            throw view.invalid("W \(w) and R \(r) do not fit input \(x), \(directions) directions and \(gates) gates")
        }
        if view.has(3), try view.input(3).dimensions != [directions, 2 * rows] {
            throw view.invalid("B \(try view.input(3)) is not [\(directions), \(2 * rows)]")
        }
        let batchFirst = view.node.int("layout") ?? 0 != 0
        let (sequence, batch) = batchFirst ? (x[1], x[0]) : (x[0], x[1])
        let state = try view.shape(batchFirst ? [batch, directions, hidden] : [directions, batch, hidden])
        for index in 5...6 where view.has(index) {
            guard try view.input(index) == state else {
                throw view.invalid("initial state \(try view.input(index)) is not \(state)")
            }
        }
        let y = batchFirst ? [batch, sequence, directions, hidden] : [sequence, directions, batch, hidden]
        return [try view.shape(y), state, state]
    }

    /// Y, present key, present value and the scores (opset 23). Three axes carry the heads inside the last one.
    static func attention(_ view: NodeShapes) throws(ModelError) -> [Shape] {
        let (q, k, v) = (try view.input(0), try view.input(1), try view.input(2))
        guard q.rank == k.rank, k.rank == v.rank, q.rank == 3 || q.rank == 4 else {
            throw view.invalid("Q \(q), K \(k) and V \(v) must all have three or four axes")
        }
        /// [batch, heads, length, size]
        func heads(_ x: Shape, _ key: String) throws(ModelError) -> [Int] {
            if x.rank == 4 { return x.dimensions }
            let count = try view.small(key, fallback: 0, least: 1)
            guard count > 0, x[2] % count == 0 else { throw view.invalid("\(key) does not divide \(x)") }
            return [x[0], count, x[1], x[2] / count]
        }
        let query = try heads(q, "q_num_heads")
        let key = try heads(k, "kv_num_heads")
        let value = try heads(v, "kv_num_heads")
        let fits = query[0] == key[0] && key[0] == value[0] && key[1] == value[1] && key[2] == value[2]
        guard fits, query[3] == key[3], key[1] > 0, query[1] % key[1] == 0 else {
            throw view.invalid("Q \(q), K \(k) and V \(v) do not fit")
        }
        var length = key[2]
        if view.has(4) {
            let past = try view.input(4)
            guard past.rank == 4 else { throw view.invalid("the past key \(past) needs four axes") }
            length += past[2]
        }
        let y = q.rank == 4 ? [query[0], query[1], query[2], value[3]] : [query[0], query[2], query[1] * value[3]]
        return [
            try view.shape(y), try view.shape([key[0], key[1], length, key[3]]),
            try view.shape([value[0], value[1], length, value[3]]),
            try view.shape([query[0], query[1], query[2], length]),
        ]
    }

    /// Letters with their extents; `...` stands for axes that broadcast.
    static func einsum(_ view: NodeShapes) throws(ModelError) -> Shape {
        let equation = try EinsumEquation(view)
        return try view.shape(equation.output.map { label in equation.extents[label] ?? 1 })
    }
}

/// An Einsum equation with the extents of its labels. The axes of an ellipsis are labelled "...0" from the last one.
struct EinsumEquation {
    /// The labels of each input's axes.
    private(set) var terms: [[String]] = []
    private(set) var output: [String] = []
    private(set) var extents: [String: Int] = [:]

    init(_ view: NodeShapes) throws(ModelError) {
        let text = (view.node.string("equation") ?? "").filter { $0 != " " }
        let sides = text.split(separator: ">", omittingEmptySubsequences: false)
        guard sides.count <= 2, sides.count == 1 || sides[0].hasSuffix("-") else {
            throw view.invalid("equation '\(text.prefix(100))' has more than one arrow")
        }
        let terms = (sides.count == 2 ? sides[0].dropLast() : sides[0]).split(
            separator: ",", omittingEmptySubsequences: false)
        guard terms.count == view.node.inputs.count else {
            throw view.invalid("equation '\(text.prefix(100))' has \(terms.count) terms")
        }
        var uses: [String: Int] = [:]
        var widest = 0
        for (index, term) in terms.enumerated() {
            let shape = try view.input(index)
            let labels = try Self.labels(term, rank: shape.rank, view)
            self.terms.append(labels)
            widest = max(widest, labels.filter { $0.hasPrefix("...") }.count)
            for (label, extent) in zip(labels, shape.dimensions) {
                uses[label, default: 0] += 1
                let known = extents[label] ?? 1
                guard known == extent || known == 1 || extent == 1 else {
                    throw view.invalid("label '\(label)' is \(known) and \(extent)")
                }
                extents[label] = known == 1 ? extent : known
            }
        }
        let ellipsis = (0..<widest).reversed().map { "...\($0)" }
        if sides.count == 2 {
            output = try Self.labels(sides[1], rank: nil, view).flatMap { $0 == "..." ? ellipsis : [$0] }
            guard output.allSatisfy({ extents[$0] != nil }), Set(output).count == output.count else {
                throw view.invalid("equation '\(text.prefix(100))' has an output that its terms do not give")
            }
        } else {
            output = ellipsis + uses.keys.filter { uses[$0] == 1 && !$0.hasPrefix("...") }.sorted()
        }
    }

    /// The labels of one term; without a rank an ellipsis stays "...".
    private static func labels(_ term: Substring, rank: Int?, _ view: NodeShapes) throws(ModelError) -> [String] {
        var labels: [String] = []
        var rest = term
        while let character = rest.first {
            if rest.hasPrefix("..."), !labels.contains(where: { $0.hasPrefix("...") }) {
                rest = rest.dropFirst(3)
                guard let rank else {
                    labels.append("...")
                    continue
                }
                let count = rank - labels.count - rest.count
                guard count >= 0 else { throw view.invalid("term '\(term.prefix(40))' does not fit rank \(rank)") }
                labels += (0..<count).reversed().map { "...\($0)" }
            } else {
                guard character.isASCII, character.isLetter else {
                    throw view.invalid("term '\(term.prefix(40))' has a label that is no letter")
                }
                labels.append(String(character))
                rest = rest.dropFirst()
            }
        }
        if let rank, labels.count != rank {
            throw view.invalid("term '\(term.prefix(40))' does not fit rank \(rank)")
        }
        return labels
    }
}
