import Tensors

extension Graph {
    /// Where each value is read: node index and input position, in node order.
    public var consumers: [String: [(node: Int, input: Int)]] {
        var result: [String: [(node: Int, input: Int)]] = [:]
        for (index, node) in nodes.enumerated() {
            for (position, input) in node.inputs.enumerated() where !input.isEmpty {
                result[input, default: []].append((index, position))
            }
        }
        return result
    }

    /// The index of the node that computes each value.
    var producers: [String: Int] {
        var result: [String: Int] = [:]
        for (index, node) in nodes.enumerated() {
            for output in node.outputs where !output.isEmpty { result[output] = index }
        }
        return result
    }

    var outputNames: Set<String> { Set(outputs.map(\.name)) }

    /// Puts nodes in an order in which every value is computed before it is read, keeping a valid order as it is.
    mutating func sortTopologically(path: String) throws(ModelError) {
        var available = Set(inputs.map(\.name) + initializers.names)
        var produced = available
        for node in nodes {
            for output in node.outputs where !output.isEmpty {
                guard produced.insert(output).inserted else {
                    throw .malformedFile(path: path, reason: "value '\(output)' has more than one producer")
                }
            }
        }
        for node in nodes {
            for input in node.inputs where !input.isEmpty && !produced.contains(input) {
                throw .malformedFile(path: path, reason: "node '\(node.name)' reads '\(input)', which nothing produces")
            }
        }
        for output in outputs where !produced.contains(output.name) {
            throw .malformedFile(path: path, reason: "output '\(output.name)' is produced by nothing")
        }
        var missing = nodes.map { node in
            Set(node.inputs.filter { !$0.isEmpty && !available.contains($0) }).count
        }
        let readers = consumers
        var order: [Int] = []
        order.reserveCapacity(nodes.count)
        // Ready nodes leave in file order as long as the file is sorted; `order` doubles as the queue behind `next`.
        var sorted = true
        for node in nodes {
            guard node.inputs.allSatisfy({ $0.isEmpty || available.contains($0) }) else {
                sorted = false
                break
            }
            available.formUnion(node.outputs)
        }
        guard !sorted else { return }
        order = nodes.indices.filter { missing[$0] == 0 }
        var next = 0
        while next < order.count {
            for output in nodes[order[next]].outputs where !output.isEmpty {
                for reader in Set((readers[output] ?? []).map(\.node)).sorted() {
                    missing[reader] -= 1
                    if missing[reader] == 0 { order.append(reader) }
                }
            }
            next += 1
        }
        guard order.count == nodes.count else {
            let stuck = nodes.indices.first { missing[$0] > 0 }.map { nodes[$0].name } ?? ""
            throw .malformedFile(path: path, reason: "the nodes form a cycle through node '\(stuck)'")
        }
        nodes = order.map { nodes[$0] }
    }

    /// `base`, or `base` with the first number that makes it new to `taken`, which it joins.
    public static func uniqueName(_ base: String, taken: inout Set<String>) -> String {
        var name = base
        var suffix = 2
        while !taken.insert(name).inserted {
            name = "\(base).\(suffix)"
            suffix += 1
        }
        return name
    }

    /// Every name of a value in the graph.
    public var valueNames: Set<String> {
        Set(inputs.map(\.name) + initializers.names + nodes.flatMap { $0.inputs + $0.outputs })
    }
}
