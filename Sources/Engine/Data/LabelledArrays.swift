import Tensors

/// Inputs and labels as stored in files, checked against each other, and the rows that belong to the wanted split.
///
/// Where the files hold no test set of their own, every tenth sample, picked by a fixed seed, is held out: the same
/// samples whatever the SPEC's seed, so that training and evaluation under different seeds never share a sample.
struct LabelledArrays {
    let inputs: Tensor
    let labels: [Int64]
    let rows: [Int]
    let sampleShape: Shape

    init(_ spec: DataSpec) throws(DataError) {
        let isTest = spec.split == .test
        let pair: (inputs: Tensor, labels: Tensor, holdsOut: Bool)
        do {
            switch spec.kind {
            case .idx: pair = try Self.readIdx(spec.path, isTest: isTest)
            case .npy: pair = try Self.readNpy(spec.path, isTest: isTest)
            case .safetensors: pair = try Self.readSafetensors(spec.path, isTest: isTest)
            case .folder, .synthetic: preconditionFailure("\(spec.kind) has no arrays")
            }
        } catch let error as DataError { throw error } catch let error as TensorError { throw .file(error) } catch {
            preconditionFailure("\(error)")
        }
        let place = spec.path
        labels = try Self.checkedLabels(pair.labels, place: place)
        guard [.uint8, .float16, .bfloat16, .float32].contains(pair.inputs.elementType) else {
            throw .unusableArray(
                place: place,
                reason: "inputs are \(pair.inputs.elementType); uint8, float16, bfloat16 or float32 is needed")
        }
        let shape = pair.inputs.shape
        guard shape.rank >= 1, shape[0] == labels.count else {
            throw .unusableArray(place: place, reason: "inputs of shape \(shape) do not match \(labels.count) labels")
        }
        guard let sampleShape = try? Shape(Array(shape.dimensions.dropFirst())), sampleShape.elementCount > 0 else {
            throw .unusableArray(place: place, reason: "inputs of shape \(shape) hold empty samples")
        }
        self.sampleShape = sampleShape
        inputs = pair.inputs
        rows = pair.holdsOut ? Self.heldOutRows(count: labels.count, isTest: isTest) : Array(0..<labels.count)
    }

    /// A tenth of the rows (at least one) for testing, or all the others, ascending.
    static func heldOutRows(count: Int, isTest: Bool) -> [Int] {
        let order = Dataset.shuffledOrder(count: count, seed: 0x0e1d_0047)
        let testCount = count > 1 ? max(1, count / 10) : 0
        return (isTest ? order.prefix(testCount) : order.dropFirst(testCount)).sorted()
    }

    private static func checkedLabels(_ tensor: Tensor, place: String) throws(DataError) -> [Int64] {
        let shape = tensor.shape
        guard shape.rank == 1 || (shape.rank == 2 && shape[1] == 1) else {
            throw .unusableArray(place: place, reason: "labels have shape \(shape); one number per sample is needed")
        }
        guard tensor.elementType != .bool, let integers = tensor.convertedToInt64() else {
            throw .unusableArray(place: place, reason: "labels are \(tensor.elementType); whole numbers are needed")
        }
        return integers.elements(as: Int64.self)
    }

    /// The MNIST family: `train-images-idx3-ubyte` and so on, or `.idx3-ubyte`, with or without `.gz`.
    private static func readIdx(_ folder: String, isTest: Bool) throws -> (Tensor, Tensor, Bool) {
        let prefixes = isTest ? ["t10k", "test"] : ["train"]
        let images = try Idx.read(
            path: find(prefixes.flatMap { ["\($0)-images-idx3-ubyte", "\($0)-images-idx4-ubyte"] }, in: folder))
        let labels = try Idx.read(path: find(prefixes.map { "\($0)-labels-idx1-ubyte" }, in: folder))
        guard images.shape.rank == 3 || images.shape.rank == 4 else {
            throw DataError.unusableArray(
                place: folder, reason: "images have shape \(images.shape); rank 3 or 4 is needed")
        }
        // Grey images get the channel axis that models expect.
        let dimensions = images.shape.dimensions
        let shape = dimensions.count == 3 ? [dimensions[0], 1, dimensions[1], dimensions[2]] : dimensions
        return (try images.reshaped(to: try Shape(shape)), labels, false)
    }

    private static func find(_ names: [String], in folder: String) throws(DataError) -> String {
        let spellings = names.flatMap { [$0, $0.replacing("-idx", with: ".idx")] }.flatMap { [$0, $0 + ".gz"] }
        for name in spellings where FileBytes.exists("\(folder)/\(name)") { return "\(folder)/\(name)" }
        throw .missingFile(folder: folder, names: names.map { "\($0)[.gz]" })
    }

    private static func readNpy(_ folder: String, isTest: Bool) throws -> (Tensor, Tensor, Bool) {
        let hasTest = FileBytes.isFolder("\(folder)/test")
        let place = isTest && hasTest ? "\(folder)/test" : folder
        return (try Npy.read(path: "\(place)/x.npy"), try Npy.read(path: "\(place)/y.npy"), !hasTest)
    }

    private static func readSafetensors(_ path: String, isTest: Bool) throws -> (Tensor, Tensor, Bool) {
        let tensors = try Safetensors.read(path: path).tensors
        let hasTest = tensors["x.test"] != nil
        let suffix = isTest && hasTest ? ".test" : ""
        do { return (try tensors.require("x\(suffix)"), try tensors.require("y\(suffix)"), !hasTest) } catch {
            throw DataError.unusableArray(place: path, reason: "\(error.description); the file needs x and y")
        }
    }
}
