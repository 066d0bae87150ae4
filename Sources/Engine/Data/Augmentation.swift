import Tensors

/// Decides every random choice about samples: the same seed and epoch give the same batch, whoever makes it and when.
public struct AugmentationSeed: Sendable, Equatable {
    public let seed: UInt64
    /// Each pass over the data looks different.
    public let epoch: Int

    public init(seed: UInt64, epoch: Int) {
        self.seed = seed
        self.epoch = epoch
    }

    /// The source of one sample's choices.
    func generator(_ purpose: String, sample: Int) -> SeededGenerator {
        SeededGenerator(seed: seed, labels: purpose, String(epoch), String(sample))
    }
}

/// Random changes of training images, applied after scaling and normalising: a padded crop, a mirror image, a square of
/// zeros. Zeros are therefore the mean's colour.
struct Augmentation: Sendable, Equatable {
    /// The input that is changed, `[channels, height, width]`.
    let input: String
    let shape: Shape
    let options: DataSpec.AugmentationOptions

    /// What one image undergoes: pixel (y, x) of the result is pixel (y + top, x + left) of the image (of the mirror image
    /// when flipped), zero outside of it and within the hole.
    struct Choice: Equatable {
        var top = 0
        var left = 0
        var isFlipped = false
        /// Rows and columns of the hole.
        var hole: (rows: Range<Int>, columns: Range<Int>)?

        static func == (a: Choice, b: Choice) -> Bool {
            a.top == b.top && a.left == b.left && a.isFlipped == b.isFlipped && a.hole?.rows == b.hole?.rows
                && a.hole?.columns == b.hole?.columns
        }
    }

    /// The options of a SPEC, or nil when it asks for none of them or is about the test split.
    /// - Throws: `DataError` when the options do not suit the inputs.
    static func named(by spec: DataSpec, fields: [SampleField]) throws(DataError) -> Augmentation? {
        let options = spec.augmentation
        guard !options.isEmpty, spec.split != .test else { return nil }
        if options.mixup != nil, let field = fields.first(where: { $0.batchType != .float32 }) {
            throw .malformedSpec(
                spec: spec.description, reason: "mixup= needs inputs of real numbers, '\(field.name)' holds integers")
        }
        let main = DataSource.mainInput(of: fields.map(\.name))
        let field = fields.first { $0.name == main }
        guard options.needsImages else {
            return Augmentation(input: main ?? "", shape: field?.sampleShape ?? [], options: options)
        }
        guard let field, field.batchType == .float32, field.sampleShape.rank == 3 else {
            throw .malformedSpec(
                spec: spec.description,
                reason: "crop=, flip= and cutout= need an input 'x' of images [channels, height, width], samples are "
                    + (field.map { "\($0.sampleShape)" } ?? fields.map(\.name).joined(separator: ", ")))
        }
        return Augmentation(input: field.name, shape: field.sampleShape, options: options)
    }

    func choice(using generator: inout SeededGenerator) -> Choice {
        var choice = Choice()
        if let border = options.crop {
            choice.top = generator.index(below: 2 * border + 1) - border
            choice.left = generator.index(below: 2 * border + 1) - border
        }
        if options.flip == true { choice.isFlipped = generator.next() >> 63 == 1 }
        if let side = options.cutout {
            // The square's centre is anywhere, so that it may hang over the edge.
            let (height, width) = (shape[1], shape[2])
            let top = generator.index(below: height) - side / 2
            let left = generator.index(below: width) - side / 2
            choice.hole = (
                rows: max(0, top)..<max(0, min(height, top + side)),
                columns: max(0, left)..<max(0, min(width, left + side))
            )
        }
        return choice
    }

    /// Changes one image in place. `scratch` has room for as many elements.
    func apply(_ choice: Choice, to image: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>) {
        let (channels, height, width) = (shape[0], shape[1], shape[2])
        if choice.top != 0 || choice.left != 0 || choice.isFlipped {
            scratch.update(from: image, count: channels * height * width)
            // The columns of the result that lie within the image.
            let inside = max(0, -choice.left)..<max(max(0, -choice.left), min(width, width - choice.left))
            for plane in 0..<channels {
                for y in 0..<height {
                    let row = image + (plane * height + y) * width
                    let source = y + choice.top
                    row.update(repeating: 0, count: width)
                    guard source >= 0, source < height else { continue }
                    let from = scratch + (plane * height + source) * width
                    if choice.isFlipped {
                        for x in inside { row[x] = from[width - 1 - (x + choice.left)] }
                    } else {
                        (row + inside.lowerBound).update(
                            from: from + inside.lowerBound + choice.left, count: inside.count)
                    }
                }
            }
        }
        guard let hole = choice.hole, !hole.columns.isEmpty else { return }
        for plane in 0..<channels {
            for y in hole.rows {
                (image + (plane * height + y) * width + hole.columns.lowerBound).update(
                    repeating: 0, count: hole.columns.count)
            }
        }
    }

    /// Changes every image of a batch; `samples` are their places in the data set.
    func apply(to inputs: inout NamedTensors, samples: [Int], seed: AugmentationSeed) {
        guard options.needsImages else { return }
        let size = shape.elementCount
        let scratch = UnsafeMutablePointer<Float>.allocate(capacity: max(1, size))
        defer { scratch.deallocate() }
        inputs.modify(input) { tensor in
            tensor.withMutableElements(as: Float.self) { elements in
                guard let base = elements.baseAddress else { return }
                for (turn, sample) in samples.enumerated() {
                    var generator = seed.generator("augment", sample: sample)
                    apply(choice(using: &generator), to: base + turn * size, scratch: scratch)
                }
            }
        }
    }
}
