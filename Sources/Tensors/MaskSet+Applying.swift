extension Bitmap {
    /// Sets the dead among the elements `start`, `start + 1`, ... of a tensor to exactly +0.
    /// Precondition: `start + elements.count <= count`.
    public func apply(to elements: UnsafeMutableBufferPointer<Float>, from start: Int = 0) {
        for index in elements.indices where !self[start + index] { elements[index] = 0 }
    }
}

extension MaskSet {
    /// Sets the dead among the elements `start`, `start + 1`, ... of the tensor `name` to exactly +0.
    public func apply(to elements: UnsafeMutableBufferPointer<Float>, of name: String, from start: Int = 0) {
        bitmaps[name]?.apply(to: elements, from: start)
    }

    /// Sets every masked element of float32 tensors to exactly +0; tensors without a bitmap stay as they are.
    /// Precondition: bitmaps fit the tensors of their names.
    public func apply(to tensors: inout NamedTensors) {
        for name in tensors.names {
            guard let bitmap = bitmaps[name] else { continue }
            tensors.modify(name) { tensor in
                precondition(bitmap.count == tensor.elementCount, "the mask of '\(name)' is of another size")
                tensor.withMutableElements(as: Float.self) { bitmap.apply(to: $0) }
            }
        }
    }

    /// Share of the elements of `tensors` that are masked, 0 to 1; 0 for no elements. Precondition: as `apply(to:)`.
    public func sparsity(over tensors: NamedTensors) -> Double {
        let total = tensors.elementCount
        let alive = tensors.ordered.reduce(0) { $0 + (bitmaps[$1.name]?.populationCount ?? $1.tensor.elementCount) }
        return total == 0 ? 0 : Double(total - alive) / Double(total)
    }
}
