import Tensors

// Which axes of the inputs a file leaves open, and the shapes the inputs take when they are given.
extension Graph {
    /// The names of the inputs' open axes other than the batch, in the order in which they appear: what `inferShapes` needs
    /// in `extents`. Symbols name themselves; an axis without one is called `INPUT.AXIS`.
    public var openAxes: [String] {
        let batch = batchSymbols
        var names: [String] = []
        var seen = Set<String>()
        for input in inputs {
            for (axis, dimension) in (input.dimensions ?? []).enumerated() {
                guard let name = input.openName(axis: axis, dimension, batch: batch), seen.insert(name).inserted
                else { continue }
                names.append(name)
            }
        }
        return names
    }

    /// Symbols of the inputs' first axes.
    private var batchSymbols: Set<String> {
        Set(
            inputs.compactMap { input in
                if case .symbolic(let symbol)? = input.dimensions?.first { symbol } else { nil }
            })
    }

    /// The concrete shape of each input.
    func inputShapes(batch: Int, extents: [String: Int]) throws(ModelError) -> [(name: String, shape: Shape)] {
        guard (1...ModelLimits.extent).contains(batch) else {
            throw .invalidRequest("a batch of \(batch) is impossible")
        }
        let known = Set(inputs.flatMap(\.axisNames))
        for (name, extent) in extents.sorted(by: { $0.key < $1.key }) {
            guard (0...ModelLimits.extent).contains(extent) else {
                throw .invalidRequest("an extent of \(extent) for '\(name)' is impossible")
            }
            guard known.contains(name) else {
                let names = (openAxes + batchSymbols.sorted()).map { "'\($0)'" }.joined(separator: ", ")
                throw .invalidRequest(
                    "no input has an open axis '\(name)'; " + (names.isEmpty ? "none is open" : "open are \(names)"))
            }
        }
        let symbols = batchSymbols
        var shapes: [(name: String, shape: Shape)] = []
        for input in inputs {
            shapes.append((input.name, try input.shape(batch: batch, extents: extents, batchSymbols: symbols)))
        }
        return shapes
    }
}

extension ValueInfo {
    /// How callers name an axis.
    private func name(axis: Int, _ dimension: Dimension) -> String? {
        switch dimension {
        case .fixed: nil
        case .symbolic(let symbol): symbol
        case .unknown: "\(name).\(axis)"
        }
    }

    /// The names of its axes without a fixed extent.
    fileprivate var axisNames: [String] {
        (dimensions ?? []).enumerated().compactMap { name(axis: $0, $1) }
    }

    /// The name of an axis that neither the file nor the batch gives an extent.
    fileprivate func openName(axis: Int, _ dimension: Dimension, batch: Set<String>) -> String? {
        switch dimension {
        case .fixed: nil
        case .symbolic(let symbol): batch.contains(symbol) ? nil : symbol
        case .unknown: axis == 0 ? nil : name(axis: axis, dimension)
        }
    }

    fileprivate func shape(
        batch: Int, extents given: [String: Int], batchSymbols: Set<String>
    ) throws(ModelError) -> Shape {
        guard let dimensions else { throw .invalidRequest("input '\(name)' declares no shape; export it with one") }
        var extents: [Int] = []
        for (axis, dimension) in dimensions.enumerated() {
            if case .fixed(let extent) = dimension {
                extents.append(extent)
            } else if let extent = name(axis: axis, dimension).flatMap({ given[$0] }) {
                extents.append(extent)
            } else if let open = openName(axis: axis, dimension, batch: batchSymbols) {
                throw .invalidRequest(
                    "axis \(axis) of input '\(name)' has no fixed extent; give one for '\(open)' (--extent \(open)=N)")
            } else {
                extents.append(batch)
            }
        }
        do { return try Shape(extents) } catch { throw .invalidTensor(error) }
    }
}
