import ModelGraph
import Tensors

extension Dataset {
    /// Checks the first input and the targets against what a model declares.
    /// - Parameters:
    ///   - inputDimensions: the model's input without the batch axis; nil stands for any extent.
    ///   - classes: how many outputs the model has, when known.
    /// - Throws: `DataError.shapeMismatch`, `.labelOutOfRange` with the first such sample, `.targetMismatch`.
    public func checkFits(inputDimensions: [Int?], classes: Int?) throws(DataError) {
        let fits =
            inputDimensions.count == sampleShape.rank
            && zip(inputDimensions, sampleShape.dimensions).allSatisfy { $0 == nil || $0 == $1 }
        guard fits else {
            let model = "[" + inputDimensions.map { $0.map(String.init) ?? "?" }.joined(separator: ", ") + "]"
            throw .shapeMismatch(spec: spec.description, sample: sampleShape, model: model)
        }
        if let classes { try checkFits(classes: classes) }
    }

    /// Checks all inputs by name, type and shape, and the targets, against a model. A single input goes to a model's single
    /// input whatever their names.
    /// - Throws: `DataError`; `ModelError` when the model's shapes cannot be inferred.
    public func checkFits(_ graph: Graph) throws {
        for declared in graph.inputs {
            let isOnly = inputs.count == 1 && graph.inputs.count == 1
            guard let input = isOnly ? inputs.first : inputs.first(where: { $0.name == declared.name }) else {
                throw DataError.inputMismatch(
                    spec: spec.description, input: declared.name,
                    reason: "is missing; the data have \(inputs.map { "'\($0.name)'" }.joined(separator: ", "))")
            }
            guard input.elementType == declared.elementType else {
                throw DataError.inputMismatch(
                    spec: spec.description, input: declared.name,
                    reason: "is \(declared.elementType), the data's '\(input.name)' is \(input.elementType)")
            }
            guard let dimensions = declared.dimensions?.dropFirst() else { continue }
            let extents = dimensions.map { dimension in
                if case .fixed(let extent) = dimension { Int?(extent) } else { Int?.none }
            }
            let sample = input.sampleShape.dimensions
            guard extents.count == sample.count, zip(extents, sample).allSatisfy({ $0 == nil || $0 == $1 }) else {
                let model = "[" + extents.map { $0.map(String.init) ?? "?" }.joined(separator: ", ") + "]"
                throw DataError.inputMismatch(
                    spec: spec.description, input: declared.name,
                    reason: "takes samples of \(model), the data's '\(input.name)' has \(input.sampleShape)")
            }
        }
        if let classes = try graph.outputExtent() { try checkFits(classes: classes) }
    }

    /// Checks the targets against the extent of the model's last axis.
    private func checkFits(classes: Int) throws(DataError) {
        switch targets {
        case .classes:
            if let sample = labels.firstIndex(where: { $0 >= Int64(classes) }) {
                throw .labelOutOfRange(
                    spec: spec.description, sample: sample, label: labels[sample], classCount: classes)
            }
        case .tokens:
            guard classCount <= classes else {
                throw .targetMismatch(
                    spec: spec.description, targets: "a vocabulary of \(classCount)", outputs: classes)
            }
        case .values(let shape):
            guard shape.dimensions.last ?? 1 == classes else {
                throw .targetMismatch(spec: spec.description, targets: "values of shape \(shape)", outputs: classes)
            }
        }
    }
}
