import Tensors

/// Inputs and targets as stored in files, checked against each other, and the rows that belong to the wanted split.
struct StoredArrays {
    /// By name: `x` first, the others in the order of their bytes.
    let inputs: [(name: String, rows: any SampleRows)]
    /// Whole numbers, or nil.
    let labels: [Int64]?
    /// Real numbers to predict, or nil.
    let values: (any SampleRows)?
    let rows: [Int]

    /// What a file format gives.
    private struct Parts {
        var inputs: [(name: String, rows: any SampleRows)]
        var targets: Tensor?
        var values: (any SampleRows)?
        var holdsOut: Bool
    }

    init(_ spec: DataSpec) throws(DataError) {
        let isTest = spec.split == .test
        let parts: Parts
        do {
            switch spec.kind {
            case .idx: parts = try Self.readIdx(spec.path, isTest: isTest)
            case .npy: parts = try Self.readNpy(spec.path, isTest: isTest)
            case .safetensors: parts = try Self.readSafetensors(spec.path, isTest: isTest)
            case .folder, .synthetic, .tokens: preconditionFailure("\(spec.kind) has no arrays")
            }
        } catch let error as DataError { throw error } catch let error as TensorError { throw .file(error) } catch {
            preconditionFailure("\(error)")
        }
        let place = spec.path
        values = parts.values
        labels = try parts.targets.map { targets throws(DataError) in try Self.checkedLabels(targets, place: place) }
        let count = labels?.count ?? values?.count ?? 0
        let targets = labels == nil ? "targets" : "labels"
        for (name, rows) in parts.inputs {
            let called = parts.inputs.count == 1 ? "inputs" : "input '\(name)'"
            let verb = parts.inputs.count == 1 ? "are" : "is"
            guard Self.inputTypes.contains(rows.elementType) else {
                throw .unusableArray(
                    place: place,
                    reason: "\(called) \(verb) \(rows.elementType); "
                        + Self.inputTypes.map { "\($0)" }.joined(separator: ", ") + " can be used")
            }
            guard rows.count == count else {
                throw .unusableArray(
                    place: place,
                    reason: "\(called) of shape \(Self.whole(rows)) do not match \(count) \(targets)")
            }
        }
        inputs = parts.inputs
        rows = parts.holdsOut ? DataSource.heldOutRows(count: count, isTest: isTest) : Array(0..<count)
    }

    private static let inputTypes: [ElementType] = [.uint8, .float16, .bfloat16, .float32, .int32, .int64]

    private static func whole(_ rows: any SampleRows) -> String {
        "[" + ([rows.count] + rows.sampleShape.dimensions).map(String.init).joined(separator: ", ") + "]"
    }

    private static func checkedLabels(_ tensor: Tensor, place: String) throws(DataError) -> [Int64] {
        let shape = tensor.shape
        guard shape.rank == 1 || (shape.rank == 2 && shape[1] == 1) else {
            throw .unusableArray(place: place, reason: "labels have shape \(shape); one number per sample is needed")
        }
        guard tensor.elementType != .bool, let integers = tensor.convertedToInt64() else {
            throw .unusableArray(
                place: place,
                reason: "labels are \(tensor.elementType); whole numbers are needed, or float32 values to predict")
        }
        return integers.elements(as: Int64.self)
    }

    /// The MNIST family: `train-images-idx3-ubyte` and so on, or `.idx3-ubyte`, with or without `.gz`.
    private static func readIdx(_ folder: String, isTest: Bool) throws -> Parts {
        let prefixes = isTest ? ["t10k", "test"] : ["train"]
        let images = try Idx.read(
            path: find(prefixes.flatMap { ["\($0)-images-idx3-ubyte", "\($0)-images-idx4-ubyte"] }, in: folder))
        let labels = try Idx.read(path: find(prefixes.map { "\($0)-labels-idx1-ubyte" }, in: folder))
        guard images.shape.rank == 3 || images.shape.rank == 4 else {
            throw DataError.unusableArray(
                place: folder, reason: "images have shape \(images.shape); rank 3 or 4 is needed")
        }
        try requireSamples("images", images.shape, place: folder)
        // Grey images get the channel axis that models expect.
        let dimensions = images.shape.dimensions
        let shape = dimensions.count == 3 ? [dimensions[0], 1, dimensions[1], dimensions[2]] : dimensions
        let inputs = MemoryRows(try images.reshaped(to: try Shape(shape)))
        return Parts(inputs: [("x", inputs)], targets: labels, holdsOut: false)
    }

    private static func find(_ names: [String], in folder: String) throws(DataError) -> String {
        let spellings = names.flatMap { [$0, $0.replacing("-idx", with: ".idx")] }.flatMap { [$0, $0 + ".gz"] }
        for name in spellings where FileBytes.exists("\(folder)/\(name)") { return "\(folder)/\(name)" }
        throw .missingFile(folder: folder, names: names.map { "\($0)[.gz]" })
    }

    private static func readNpy(_ folder: String, isTest: Bool) throws -> Parts {
        let hasTest = FileBytes.isFolder("\(folder)/test")
        let place = isTest && hasTest ? "\(folder)/test" : folder
        let found = (try? FileBytes.names(inFolder: place)) ?? []
        var names = found.filter { $0.hasSuffix(".npy") && $0 != "y.npy" && !$0.hasPrefix(".") }.map { $0.dropLast(4) }
        if names.isEmpty { names = ["x"] }
        let inputs = try ordered(names.map(String.init)).map { name in
            (name: name, file: try ArrayFile.npy(path: "\(place)/\(name).npy"))
        }
        guard FileBytes.exists("\(place)/y.npy") else {
            throw DataError.unusableArray(
                place: place, reason: "there is no y.npy: training, scores and evaluation need labels or targets in it")
        }
        return try parts(inputs, targets: ArrayFile.npy(path: "\(place)/y.npy"), place: place, holdsOut: !hasTest)
    }

    private static func readSafetensors(_ path: String, isTest: Bool) throws -> Parts {
        let arrays = try ArrayFile.safetensors(path: path)
        let hasTest = arrays.contains { $0.name.hasSuffix(".test") }
        var chosen: [(name: String, file: ArrayFile)] = []
        for array in arrays {
            let belongsToTest = array.name.hasSuffix(".test")
            guard belongsToTest == (isTest && hasTest) else { continue }
            chosen.append((belongsToTest ? String(array.name.dropLast(5)) : array.name, array))
        }
        guard let targets = chosen.first(where: { $0.name == "y" })?.file else {
            let name = isTest && hasTest ? "y.test" : "y"
            throw DataError.unusableArray(path, missing: name)
        }
        let names = ordered(chosen.map(\.name).filter { $0 != "y" })
        guard !names.isEmpty else {
            throw DataError.unusableArray(path, missing: isTest && hasTest ? "x.test" : "x")
        }
        let inputs = names.compactMap { name in chosen.first { $0.name == name } }
        return try parts(inputs, targets: targets, place: path, holdsOut: !hasTest)
    }

    private static func parts(
        _ inputs: [(name: String, file: ArrayFile)], targets: ArrayFile, place: String, holdsOut: Bool
    ) throws -> Parts {
        for (name, file) in inputs + [("y", targets)] { try requireSamples("'\(name)'", file.shape, place: place) }
        let rows = inputs.map { (name: $0.name, rows: FileRows($0.file) as any SampleRows) }
        guard [.float32, .float16, .bfloat16].contains(targets.elementType) else {
            return Parts(inputs: rows, targets: try targets.tensor(), holdsOut: holdsOut)
        }
        return Parts(inputs: rows, values: FileRows(targets), holdsOut: holdsOut)
    }

    /// Refuses what has no rows, or rows without elements: beside an extent of 0 the other extents are bound by nothing, and
    /// those of a row may multiply to more than a number holds.
    private static func requireSamples(_ called: String, _ shape: Shape, place: String) throws(DataError) {
        guard shape.rank > 0 else {
            throw .unusableArray(place: place, reason: "\(called) is a single number; one row per sample is needed")
        }
        guard shape.elementCount > 0 else {
            let what = shape[0] == 0 ? "no samples" : "empty samples"
            throw .unusableArray(place: place, reason: "\(called) of shape \(shape) holds \(what)")
        }
    }

    /// `x` first, the others in the order of their bytes.
    private static func ordered(_ names: [String]) -> [String] {
        names.filter { $0 == "x" }
            + names.filter { $0 != "x" }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }
}

extension DataError {
    fileprivate static func unusableArray(_ path: String, missing name: String) -> DataError {
        .unusableArray(
            place: path,
            reason: "\(TensorError.missingTensor(name).description); the file needs y and an input, such as x")
    }
}
