import Foundation

// What a run follows from, who took part, and what it ended with: all that a reader needs to judge it and to make it again.

extension Report {
    /// What the run follows from. What is not known is null.
    public struct Origin: Sendable, Equatable, Codable {
        /// The version that wrote the report.
        public var software: String
        /// As decimal digits: it may have 64 bits, which not all readers of JSON can hold.
        public var seed: String
        /// Where the model came from, its outputs, the extents of a sample (null: may vary), and the SHA-256 of the snapshot
        /// that the run began with.
        public var model: String
        public var classes: Int?
        public var sampleShape: [Int?]
        public var openingSnapshot: String?
        /// The SPEC that the plan hands to workers; null where they brought their own.
        public var data: String?
        /// That the plan asks for.
        public var workers: Int
        public var target: String
        /// The path that the run was started with, the SHA-256 of the text, and the text itself up to `planLimit` bytes.
        public var planPath: String?
        public var planDigest: String?
        public var planText: String?

        public static let planLimit = 1 << 16

        public init(
            software: String, seed: String, model: String, classes: Int?, sampleShape: [Int?], workers: Int,
            target: String
        ) {
            (self.software, self.seed, self.model) = (software, seed, model)
            (self.classes, self.sampleShape, self.workers, self.target) = (classes, sampleShape, workers, target)
        }
    }

    /// One file in `out/`.
    public struct File: Sendable, Equatable, Codable {
        public var name: String
        public var bytes: Int
        public var sha256: String

        public init(name: String, bytes: Int, sha256: String) {
            (self.name, self.bytes, self.sha256) = (name, bytes, sha256)
        }
    }

    /// What one worker gave.
    public struct Worker: Sendable, Equatable, Codable {
        public var name: String
        public var contributions: Int
        public var refusals: Int
        /// Of its shard; null where nothing of it counted.
        public var samples: Int?
        /// Of the results that counted, and the time it says they took.
        public var bytes: Int
        public var seconds: Double

        public init(
            name: String, contributions: Int, refusals: Int, samples: Int?, bytes: Int, seconds: Double
        ) {
            (self.name, self.contributions, self.refusals) = (name, contributions, refusals)
            (self.samples, self.bytes, self.seconds) = (samples, bytes, seconds)
        }
    }

    /// One weight of a layer: a tensor that may be pruned or quantized.
    public struct Tensor: Sendable, Equatable, Codable {
        public var name: String
        /// As the run began, and as it is; null where the model has no such weight then.
        public var shapeBefore: [Int]?
        public var shapeAfter: [Int]?
        /// Elements that no mask has killed, of `shapeAfter`.
        public var alive: Int?
        /// What it was factorized to, as in the ledger: method and rank.
        public var rank: String?
        /// Of one element in the file that is delivered; of a stage's end that is not yet such a file, in float32.
        public var bits: Double?

        public init(name: String, shapeBefore: [Int]? = nil, shapeAfter: [Int]? = nil) {
            (self.name, self.shapeBefore, self.shapeAfter) = (name, shapeBefore, shapeAfter)
        }
    }
}

extension Report.Tensor {
    /// Elements; nil where there are none or too many to count.
    static func elements(_ shape: [Int]?) -> Int? {
        guard let shape else { return nil }
        var product = 1
        for extent in shape {
            let (next, overflow) = product.multipliedReportingOverflow(by: extent)
            guard !overflow, extent >= 0 else { return nil }
            product = next
        }
        return product
    }

    /// Of its elements in the file, without scales and names.
    var bytes: Int? {
        guard let bits, let elements = Self.elements(shapeAfter) else { return nil }
        return Int(exactly: (bits * Double(elements) / 8).rounded())
    }
}

extension Report.Origin {
    private enum Key: String, CodingKey {
        case software, seed, model, classes, sampleShape, openingSnapshot, data, workers, target
        case planPath, planDigest, planText
    }

    /// Every key is there, null when not known.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(software, forKey: .software)
        try container.encode(seed, forKey: .seed)
        try container.encode(model, forKey: .model)
        try container.encode(classes, forKey: .classes)
        try container.encode(sampleShape, forKey: .sampleShape)
        try container.encode(openingSnapshot, forKey: .openingSnapshot)
        try container.encode(data, forKey: .data)
        try container.encode(workers, forKey: .workers)
        try container.encode(target, forKey: .target)
        try container.encode(planPath, forKey: .planPath)
        try container.encode(planDigest, forKey: .planDigest)
        try container.encode(planText, forKey: .planText)
    }
}

extension Report.Worker {
    private enum Key: String, CodingKey { case name, contributions, refusals, samples, bytes, seconds }

    /// Every key is there; a time that is no number is 0.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(name, forKey: .name)
        try container.encode(contributions, forKey: .contributions)
        try container.encode(refusals, forKey: .refusals)
        try container.encode(samples, forKey: .samples)
        try container.encode(bytes, forKey: .bytes)
        try container.encode(seconds.finiteOrZero, forKey: .seconds)
    }
}

extension Report.Tensor {
    private enum Key: String, CodingKey { case name, shapeBefore, shapeAfter, alive, rank, bits }

    /// Every key is there, null when not known.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(name, forKey: .name)
        try container.encode(shapeBefore, forKey: .shapeBefore)
        try container.encode(shapeAfter, forKey: .shapeAfter)
        try container.encode(alive, forKey: .alive)
        try container.encode(rank, forKey: .rank)
        try container.encode(bits.finite, forKey: .bits)
    }
}
