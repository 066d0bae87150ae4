import ModelGraph
import Tensors

/// Files of tensors that somebody keeps for each parameter of a model (residuals, momentum, control variates, moments),
/// made to fit a smaller model.
public enum KeptTensors {
    /// Writes what is left of a file after a structure change, tensor by tensor, as safetensors.
    ///
    /// A tensor belongs to a parameter if its name is the parameter's, or that behind one of `prefixes`. Those of parameters
    /// that are no more are left out; the order stays.
    /// - Parameter metadata: of the new file.
    public static func adapt(
        _ file: SafetensorsFile, to slices: ParameterSlices, prefixes: [String], metadata: [String: String] = [:],
        append: ([UInt8]) throws -> Void
    ) throws {
        let known = Set(file.entries.map(\.name))
        func owner(_ name: String) -> String {
            for prefix in prefixes where name.hasPrefix(prefix) {
                let owner = String(name.dropFirst(prefix.count))
                // A parameter may itself be called like a kept tensor.
                if slices.mentions(owner) || known.contains(owner) || !slices.mentions(name) { return owner }
            }
            return name
        }
        var kept: [(name: String, owner: String, shape: Shape)] = []
        for entry in file.entries {
            let owner = owner(entry.name)
            guard !slices.removed.contains(owner) else { continue }
            guard let shape = slices.shape(of: owner, from: entry.shape) else {
                throw CompressionError.malformedChange("it does not fit the kept tensor '\(entry.name)'")
            }
            kept.append((entry.name, owner, shape))
        }
        try append(
            Safetensors.header(
                of: kept.map { (name: $0.name, elementType: ElementType.float32, shape: $0.shape) },
                metadata: metadata))
        for (name, owner, _) in kept {
            guard let tensor = try file.tensor(name), tensor.elementType == .float32 else {
                throw TensorError.missingTensor(name)
            }
            try append(slices.apply(to: tensor, named: owner).bytes)
        }
    }
}

extension ParameterSlices {
    /// Whether the change concerns this parameter.
    func mentions(_ name: String) -> Bool { kept[name] != nil || removed.contains(name) }

    /// The shape that is left of a parameter; nil where an axis or index does not fit.
    func shape(of name: String, from shape: Shape) -> Shape? {
        var extents = shape.dimensions
        for (axis, indices) in kept[name] ?? [:] {
            guard axis < extents.count, let last = indices.last, last < extents[axis] else { return nil }
            extents[axis] = indices.count
        }
        return try? Shape(extents)
    }

    /// What is left of a mask.
    /// - Parameter shapes: of the masked parameters, before.
    public func apply(to masks: MaskSet, shapes: [String: Shape]) -> MaskSet {
        var sliced = masks
        for (name, bitmap) in masks.bitmaps where mentions(name) {
            sliced.bitmaps[name] = nil
            guard !removed.contains(name), let shape = shapes[name], shape.elementCount == bitmap.count else {
                continue
            }
            let flags = Tensor(
                elements: (0..<bitmap.count).map { bitmap[$0] ? 1 : 0 } as [UInt8], elementType: .uint8, shape: shape)
            let left = apply(to: flags, named: name)
            var narrowed = Bitmap(repeating: true, count: left.elementCount)
            for (index, flag) in left.bytes.enumerated() where flag == 0 { narrowed[index] = false }
            sliced.bitmaps[name] = narrowed
        }
        return sliced
    }
}
