import ModelGraph
import Tensors

/// A layer's weight as factors, in the order in which they are applied and in the file's layout.
struct LayerFactors: Sendable, Equatable {
    let layer: FactorizableLayer
    let method: FactorizationMethod
    let tensors: [Tensor]

    /// What becomes of the weight's name, factor by factor.
    var suffixes: [String] { tensors.count == 3 ? ["u", "core", "v"] : ["u", "v"] }
}

extension Graph {
    /// The graph with each of these layers as two or three, whose weights are called after the old one: `NAME.u`, `NAME.core`
    /// (of Tucker-2) and `NAME.v`. They are trainable parameters like any other. The bias goes to the last; zeros around the
    /// image go where their axis is multiplied, which is exact, as no factor before the last has a bias.
    /// Precondition: the layers are of this graph.
    func factorized(_ factors: [LayerFactors]) -> Graph {
        var graph = self
        var taken = Set(inputs.map(\.name) + initializers.names + nodes.flatMap { $0.inputs + $0.outputs })
        var nodeNames = Set(nodes.map(\.name))
        var replacements: [Int: [Node]] = [:]
        var weights: [String: [(String, Tensor)]] = [:]
        for part in factors {
            let old = nodes[part.layer.nodeIndex]
            let names = part.suffixes.map { Self.fresh("\(part.layer.name).\($0)", &taken) }
            weights[part.layer.name] = Array(zip(names, part.tensors))
            var added: [Node] = []
            var value = old.inputs[0]
            for (index, suffix) in part.suffixes.enumerated() {
                let isLast = index == names.count - 1
                let output = isLast ? old.outputs[0] : Self.fresh("\(old.outputs[0]).\(suffix)", &taken)
                added.append(
                    Node(
                        name: Self.fresh("\(old.name.isEmpty ? part.layer.name : old.name).\(suffix)", &nodeNames),
                        operatorType: old.operatorType,
                        inputs: [value, names[index]] + (isLast ? Array(old.inputs.dropFirst(2)) : []),
                        outputs: [output], attributes: part.attributes(of: index, old: old)))
                value = output
            }
            replacements[part.layer.nodeIndex] = added
            if case .dense(let layout) = part.layer.form, let transpose = layout.transpose {
                replacements[transpose] = []
            }
        }
        graph.nodes = nodes.indices.flatMap { replacements[$0] ?? [nodes[$0]] }
        graph.initializers = NamedTensors(
            initializers.ordered.flatMap { name, tensor in weights[name] ?? [(name, tensor)] })
        return graph
    }

    /// `base`, or `base` with the first number that makes it new to `taken`, which it joins.
    private static func fresh(_ base: String, _ taken: inout Set<String>) -> String {
        var (name, number) = (base, 2)
        while !taken.insert(name).inserted {
            name = "\(base).\(number)"
            number += 1
        }
        return name
    }
}

extension LayerFactors {
    /// The attributes of one of the nodes that take the old one's place.
    fileprivate func attributes(of index: Int, old: Node) -> [String: AttributeValue] {
        let isLast = index == tensors.count - 1
        guard case .convolution(let extents) = layer.form else {
            // Both keep the order in which the file stores matrices; the product is scaled once.
            var attributes = old.attributes
            if old.operatorType == "Gemm" {
                guard case .dense(let layout) = layer.form else { return attributes }
                attributes["transB"] = .int(layout.factorsOutputsFirst ? 1 : 0)
                if !isLast {
                    attributes["alpha"] = nil
                    attributes["beta"] = nil
                }
            }
            return attributes
        }
        let axes: [Bool]
        switch method {
        // Steps over places are taken by the first, which leaves less to the second.
        case .svd: axes = index == 0 ? [true, true] : [false, false]
        case .spatial: axes = index == 0 ? [true, false] : [false, true]
        case .tucker: axes = index == 1 ? [true, true] : [false, false]
        }
        func along(_ values: [Int], _ neutral: Int) -> AttributeValue {
            .ints(values.enumerated().map { Int64(axes[$0.offset % 2] ? $0.element : neutral) })
        }
        var attributes = old.attributes
        attributes["group"] = .int(1)
        attributes["kernel_shape"] = along(extents.kernel, 1)
        attributes["strides"] = along(extents.strides, 1)
        attributes["dilations"] = along(extents.dilations, 1)
        guard extents.autoPad == nil else {
            // Along an axis of kernel 1 and step 1 every mode pads nothing.
            attributes["pads"] = nil
            return attributes
        }
        attributes["auto_pad"] = nil
        attributes["pads"] = along(extents.pads, 0)
        return attributes
    }
}
