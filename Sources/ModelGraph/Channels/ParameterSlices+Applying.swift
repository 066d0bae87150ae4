import Tensors

extension ParameterSlices {
    /// What is left of a tensor that belongs to a parameter: its value, a mask, a step of an optimizer. A parameter that
    /// loses nothing, and one that these slices do not know, come back as they are; indices outside an axis are left out.
    public func apply(to tensor: Tensor, named name: String) -> Tensor {
        guard let axes = kept[name] else { return tensor }
        return axes.sorted { $0.key < $1.key }.reduce(tensor) { $0.selecting($1.value, axis: $1.key) }
    }

    /// These slices and, of what they leave, `next`: from the first graph to the last.
    public func followed(by next: ParameterSlices) -> ParameterSlices {
        var result = ParameterSlices(kept: kept, removed: removed.union(next.removed))
        for (name, axes) in next.kept {
            for (axis, places) in axes {
                guard let first = kept[name]?[axis] else {
                    result.kept[name, default: [:]][axis] = places
                    continue
                }
                result.kept[name, default: [:]][axis] = places.filter(first.indices.contains).map { first[$0] }
            }
        }
        for name in result.removed { result.kept[name] = nil }
        return result
    }
}

extension Tensor {
    /// The elements at some indices along an axis.
    func selecting(_ places: [Int], axis: Int) -> Tensor {
        guard (0..<shape.rank).contains(axis) else { return self }
        let places = places.filter((0..<shape[axis]).contains)
        var dimensions = shape.dimensions
        dimensions[axis] = places.count
        let row = shape.dimensions[(axis + 1)...].reduce(elementType.byteCount, *)
        let outer = shape.dimensions[..<axis].reduce(1, *)
        let block = row * shape[axis]
        let selected = [UInt8](unsafeUninitializedCapacity: outer * places.count * row) { buffer, filled in
            bytes.withUnsafeBytes { source in
                for start in 0..<outer {
                    for place in places {
                        let from = start * block + place * row
                        let target = UnsafeMutableRawBufferPointer(buffer)[filled..<(filled + row)]
                        UnsafeMutableRawBufferPointer(rebasing: target).copyMemory(
                            from: UnsafeRawBufferPointer(rebasing: source[from..<(from + row)]))
                        filled += row
                    }
                }
            }
        }
        guard let shape = try? Shape(dimensions),
            let tensor = try? Tensor(elementType: elementType, shape: shape, bytes: selected)
        else { preconditionFailure("selecting \(places.count) of \(self.shape) along axis \(axis)") }
        return tensor
    }

    /// The same with zeros at some indices along an axis.
    func zeroing(_ places: [Int], axis: Int) -> Tensor {
        let row = shape.dimensions[(axis + 1)...].reduce(elementType.byteCount, *)
        let block = row * shape[axis]
        var result = self
        result.withMutableBytes { bytes in
            for start in 0..<shape.dimensions[..<axis].reduce(1, *) {
                for place in places {
                    let from = start * block + place * row
                    UnsafeMutableRawBufferPointer(rebasing: bytes[from..<(from + row)]).initializeMemory(
                        as: UInt8.self, repeating: 0)
                }
            }
        }
        return result
    }
}
