extension NamedTensors {
    /// L2 norm over all tensors. Precondition: all are float32.
    public var norm: Double {
        ordered.reduce(0) { sum, entry in
            sum + entry.tensor.withElements(as: Float.self) { $0.reduce(0) { $0 + Double($1) * Double($1) } }
        }.squareRoot()
    }

    /// Adds `other` element by element to the tensors of the same name; tensors that only one side has stay as they are.
    /// Precondition: float32, equal element counts.
    public mutating func add(_ other: NamedTensors) {
        for (name, addend) in other.ordered where self[name] != nil {
            modify(name) { tensor in
                precondition(tensor.elementCount == addend.elementCount, "'\(name)' has another shape")
                tensor.withMutableElements(as: Float.self) { values in
                    addend.withElements(as: Float.self) { addends in
                        for index in values.indices { values[index] += addends[index] }
                    }
                }
            }
        }
    }

    /// Multiplies every element by a factor; 1 changes no bit. Precondition: all are float32.
    public mutating func scale(by factor: Float) {
        guard factor != 1 else { return }
        for name in names {
            modify(name) { tensor in
                tensor.withMutableElements(as: Float.self) { values in
                    for index in values.indices { values[index] *= factor }
                }
            }
        }
    }
}
