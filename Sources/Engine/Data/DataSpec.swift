import Tensors

/// Which data to load, how to scale it, and which part of it is ours: the SPEC of plans and command lines.
///
/// Written `KIND:PLACE[?option=value&option=value...]`, for instance
/// `idx:${PLEACH_DATA:-../shared/data}/mnist?split=train&shard=2/8&partition=dirichlet:0.5&seed=7&limit=5000`.
public struct DataSpec: Sendable, Equatable, CustomStringConvertible {
    /// How the data is stored, or that it is drawn.
    public enum Kind: String, Sendable, CaseIterable {
        /// A folder of the MNIST family's files.
        case idx
        /// A folder with `y.npy` and an input in each other `.npy` file.
        case npy
        /// A file with the tensor `y` and an input in each other tensor.
        case safetensors
        /// A folder of JPEG and PNG images, a folder for each class.
        case folder
        /// A file of token ids, for language models.
        case tokens
        /// A set drawn by Pleach itself.
        case synthetic
    }

    /// Samples to learn from, or to judge by.
    public enum Split: String, Sendable, CaseIterable {
        case train
        case test
    }

    /// One of `count` disjoint parts, `index` counting from 1.
    public struct Shard: Sendable, Equatable {
        public let index: Int
        public let count: Int
    }

    /// How training samples are dealt to shards. Test samples are always dealt `iid`, so that the shards together
    /// evaluate every test sample exactly once.
    public enum Partition: Sendable, Equatable, CustomStringConvertible {
        /// At random, sizes differing by at most one.
        case iid
        /// Per class in proportions drawn from a Dirichlet distribution: the smaller alpha, the more skewed.
        case dirichlet(Double)
        /// Each shard sees this many classes.
        case classes(Int)
        /// Neighbours stay together: shard k gets the k-th run, sizes differing by at most one.
        case contiguous

        public var description: String {
            switch self {
            case .iid: "iid"
            case .dirichlet(let alpha): "dirichlet:\(DataSpec.number(alpha))"
            case .classes(let count): "classes:\(count)"
            case .contiguous: "contiguous"
            }
        }
    }

    public internal(set) var kind: Kind
    /// The folder or file, or the name of a synthetic set.
    public internal(set) var path: String
    /// nil means `train`.
    public internal(set) var split: Split?
    public internal(set) var shard: Shard?
    /// How many samples of the training split are held back, before it is dealt to shards; nil means none.
    public internal(set) var holdout: Int?
    /// Which side of the holdout this is.
    public internal(set) var part: HoldoutPart = .private
    public internal(set) var partition: Partition = .iid
    /// Decides the partition, which samples a limit keeps, and what a synthetic set shows.
    public internal(set) var seed: UInt64 = 0
    /// At most this many samples, taken at random after sharding.
    public internal(set) var limit: Int?
    /// How many samples a synthetic set has.
    public internal(set) var samples: Int?
    /// Values are divided by this; nil means 255 for bytes and 1 for real numbers.
    public internal(set) var scale: Double?
    /// After scaling, per channel (or one for all): (value - mean) / std.
    public internal(set) var mean: [Double]?
    public internal(set) var std: [Double]?
    /// Images are brought to this size; nil means that all have the first one's.
    public internal(set) var size: ImageSize?
    /// Channels that images are brought to, 1 or 3; nil means 3.
    public internal(set) var channels: Int?
    /// How a bare file stores its token ids; nil means that the file is npy.
    public internal(set) var tokenFormat: TokenArray.Format?
    /// Tokens of a window; nil means 128.
    public internal(set) var length: Int?
    /// nil means `next`.
    public internal(set) var objective: TokenObjective?
    /// The token that hides others.
    public internal(set) var maskToken: Int?
    /// How many tokens there are; nil means one more than the largest in the file.
    public internal(set) var vocabulary: Int?
    public internal(set) var augmentation = AugmentationOptions()

    /// The same data with another split.
    public func with(split: Split?) -> DataSpec {
        var spec = self
        spec.split = split
        return spec
    }

    /// One shard of the same data, `shardIndex` in 1...count.
    public func with(shardIndex: Int, count: Int) -> DataSpec {
        precondition(shardIndex >= 1 && shardIndex <= count, "shard \(shardIndex)/\(count)")
        var spec = self
        spec.shard = Shard(index: shardIndex, count: count)
        return spec
    }

    /// The same data with at most `limit` samples, a positive number.
    public func with(limit: Int?) -> DataSpec {
        precondition(limit ?? 1 > 0, "limit \(limit ?? 0)")
        var spec = self
        spec.limit = limit
        return spec
    }

    /// The canonical form: options in a fixed order, defaults left out. Parsing it gives an equal SPEC.
    public var description: String {
        var options: [String] = []
        if let split { options.append("split=\(split.rawValue)") }
        if let shard { options.append("shard=\(shard.index)/\(shard.count)") }
        if let holdout { options.append("holdout=\(holdout)") }
        if part != .private { options.append("part=\(part.rawValue)") }
        if partition != .iid { options.append("partition=\(partition)") }
        if seed != 0 { options.append("seed=\(seed)") }
        if let limit { options.append("limit=\(limit)") }
        if let samples { options.append("samples=\(samples)") }
        if let scale { options.append("scale=\(Self.number(scale))") }
        if let mean { options.append("mean=\(mean.map(Self.number).joined(separator: ","))") }
        if let std { options.append("std=\(std.map(Self.number).joined(separator: ","))") }
        if let size { options.append("size=\(size)") }
        if let channels { options.append("channels=\(channels)") }
        if let tokenFormat { options.append("type=\(tokenFormat.rawValue)") }
        if let length { options.append("length=\(length)") }
        if let objective { options.append("objective=\(objective.rawValue)") }
        if let maskToken { options.append("mask=\(maskToken)") }
        if let vocabulary { options.append("vocabulary=\(vocabulary)") }
        if let crop = augmentation.crop { options.append("crop=\(crop)") }
        if let flip = augmentation.flip { options.append("flip=\(flip)") }
        if let cutout = augmentation.cutout { options.append("cutout=\(cutout)") }
        if let mixup = augmentation.mixup { options.append("mixup=\(Self.number(mixup))") }
        return "\(kind.rawValue):\(path)" + (options.isEmpty ? "" : "?" + options.joined(separator: "&"))
    }

    /// The shortest text that reads back as `value`, whole numbers without a fraction.
    static func number(_ value: Double) -> String {
        if let whole = Int(exactly: value), abs(whole) < 1 << 53 { return String(whole) }
        return String(value)
    }
}
