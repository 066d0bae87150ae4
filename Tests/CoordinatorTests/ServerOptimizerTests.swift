import Federation
import Foundation
import Ledger
import Tensors
import Testing
import UpdateCodec

@testable import Coordinator

/// A model with a masked weight and a BatchNormalization's statistics, whose variance stands before its mean.
private final class Run {
    let path: String
    let blobs: BlobStore
    var snapshot: Snapshot
    var facts: SnapshotFacts
    var generator = SeededGenerator(seed: 9)
    let scheme: WireScheme
    static let statistics = ModelStatistics(names: ["mean", "variance"], pairs: [("mean", "variance")])
    static let shapes: [(String, Shape)] = [("w", [300, 257]), ("variance", [5]), ("b", [17]), ("mean", [5])]

    init(_ scheme: WireScheme, isMasked: Bool = true) throws {
        self.scheme = scheme
        path = FileManager.default.temporaryDirectory.appendingPathComponent("server-\(UUID().uuidString)").path
        blobs = try BlobStore(directory: path)
        var parameters = NamedTensors()
        var random = SeededGenerator(seed: 8)
        for (name, shape) in Self.shapes {
            parameters[name] = Tensor((0..<shape.elementCount).map { _ in random.uniform() }, shape: shape)
        }
        var masks = MaskSet()
        if isMasked {
            var bitmap = Bitmap(repeating: true, count: 300 * 257)
            for index in 0..<bitmap.count where index % 5 == 0 { bitmap[index] = false }
            masks = MaskSet(epoch: 1, bitmaps: ["w": bitmap])
            masks.apply(to: &parameters)
        }
        snapshot = Snapshot(graph: Digest(hashing: [1]), parameters: parameters, masks: masks)
        let bytes = snapshot.serialized()
        let reference = BlobReference(digest: try blobs.put(bytes), byteCount: bytes.count)
        facts = SnapshotFacts(
            version: 0, snapshot: reference, graph: reference, maskEpoch: 0, sparsity: 0,
            size: ModelSize(parameters: 100, macs: 1000, bytes: 1000))
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func contribution() -> NamedTensors {
        var tensors = NamedTensors(
            Self.shapes.map { name, shape in
                (name, Tensor((0..<shape.elementCount).map { _ in generator.uniform() - 0.5 }, shape: shape))
            })
        snapshot.masks.apply(to: &tensors)
        return tensors
    }

    /// Contributions in the order given, with their weights.
    func fold(_ contributions: [(NamedTensors, UInt32)]) throws -> FoldAccumulator {
        var accumulator = FoldAccumulator(layout: snapshot.layout)
        for (tensors, weight) in contributions {
            let bytes = try UpdateEncoder.encode(
                tensors,
                header: UpdateHeader(kind: .update, base: [UInt8](0..<32), maskEpoch: snapshot.masks.epoch),
                scheme: WireScheme(values: .float32, smallValues: .float32), masks: snapshot.masks
            ).bytes
            try accumulator.add(
                UpdateReader(bytes, layout: snapshot.layout, masks: snapshot.masks), weight: weight)
        }
        return accumulator
    }

    func publisher(_ masks: MaskSet? = nil) throws -> SnapshotPublisher {
        SnapshotPublisher(
            blobs: blobs, scheme: scheme, seed: 9, base: facts,
            old: try SnapshotFile(blobs.map(facts.snapshot.digest), path: "old"), masks: masks ?? snapshot.masks,
            statistics: Self.statistics)
    }

    func publish(_ mean: FoldAccumulator, _ step: ServerStep, share: Float = 1) throws -> SnapshotPublisher.Published {
        try publisher().publish(mean: mean, share: share, server: step)
    }

    func take(_ published: SnapshotPublisher.Published) throws {
        facts.snapshot = published.snapshot
        facts.residual = published.residual
        facts.moments = published.moments
        snapshot = try Snapshot(parsing: blobs.get(published.snapshot.digest), path: "new")
    }
}

/// The optimizers as the papers write them, everything in arrays.
private struct ReferenceOptimizer {
    let rule: ServerOptimizer
    var m: [String: [Float]] = [:]
    var v: [String: [Float]] = [:]

    mutating func step(_ change: [Float], of name: String, alive: Bitmap?) -> [Float] {
        var m = self.m[name] ?? change.map { _ in 0 }
        let tau = Float(rule.epsilon)
        var v = self.v[name] ?? change.map { _ in Float(rule.epsilon * rule.epsilon) }
        let (rate, beta1, beta2) = (Float(rule.learningRate), Float(rule.momentum), Float(rule.beta2))
        let step = change.indices.map { index in
            let delta = change[index]
            switch rule.kind {
            case .average: return rate * delta
            case .momentum:
                m[index] = beta1 * m[index] + delta
                return rate * m[index]
            case .adam, .yogi:
                m[index] = beta1 * m[index] + (1 - beta1) * delta
                let square = delta * delta
                let sign: Float = v[index] > square ? 1 : v[index] < square ? -1 : 0
                v[index] =
                    rule.kind == .adam
                    ? beta2 * v[index] + (1 - beta2) * square : v[index] - (1 - beta2) * square * sign
                return rate * m[index] / (v[index].squareRoot() + tau)
            }
        }
        self.m[name] = m
        self.v[name] = v
        return step.indices.map { alive?[$0] == false ? 0 : step[$0] }
    }
}

struct ServerOptimizerTests {
    static let lossless = WireScheme(values: .float32, smallValues: .float32)
    static let rules = ServerOptimizer.Kind.allCases.map {
        ServerOptimizer(kind: $0, learningRate: 0.3, momentum: 0.8, beta2: 0.95, epsilon: 0.01)
    }

    @Test(arguments: rules, [1, 0.6] as [Float])
    func severalRoundsAreThePapers(rule: ServerOptimizer, share: Float) throws {
        let run = try Run(Self.lossless)
        var reference = ReferenceOptimizer(rule: rule)
        for round in 0..<3 {
            let contributions = (1...3).map { (run.contribution(), UInt32($0)) }
            let old = run.snapshot.parameters
            let mean = try run.fold(contributions).mean()
            let published = try run.publish(
                try run.fold(contributions), ServerStep(optimizer: rule, continues: round > 0), share: share)
            #expect((published.moments == nil) == (rule.kind == .average))
            #expect((published.moments?.second != nil) == rule.kind.isAdaptive)
            try run.take(published)
            for name in ["w", "b"] {
                let change = try mean.require(name).floats.map { $0 * share }
                let step = reference.step(change, of: name, alive: run.snapshot.masks[name])
                let expected = zip(try old.require(name).floats, step).map { $0 + $1 }
                #expect(try run.snapshot.parameters.require(name).floats == expected, "\(name), round \(round)")
            }
            let (moved, spread) = (try mean.require("mean").floats, try mean.require("variance").floats)
            let (before, variance) = (try old.require("mean").floats, try old.require("variance").floats)
            #expect(try run.snapshot.parameters.require("mean").floats == zip(before, moved).map { $0 + share * $1 })
            for index in 0..<5 {
                let pooled =
                    Double(variance[index]) + Double(share * spread[index])
                    - Double(share * moved[index]) * Double(share * moved[index])
                let found = Double(try run.snapshot.parameters.require("variance").floats[index])
                #expect(found >= 0 && abs(found - max(0, pooled)) < 1e-6, "\(found), not \(pooled)")
            }
        }
    }

    /// The same contributions in any order, and again after a death before the commit: the same bytes.
    @Test(arguments: rules, [lossless, WireScheme(values: .int4, smallTensorElements: 0), WireScheme(budget: 20_000)])
    func theSameContributionsGiveTheSameBytes(rule: ServerOptimizer, scheme: WireScheme) throws {
        let run = try Run(scheme)
        for round in 0..<2 {
            let step = ServerStep(optimizer: rule, continues: round > 0)
            let contributions = (1...4).map { (run.contribution(), UInt32($0)) }
            let first = try run.publish(try run.fold(contributions), step)
            let again = try run.publish(try run.fold(contributions.reversed()), step)
            #expect(first.snapshot == again.snapshot && first.moments == again.moments)
            #expect(first.residual == again.residual && first.delta == again.delta)
            // What workers decode is what is published, and statistics lose nothing on the way.
            if let delta = first.delta {
                let reader = try UpdateReader(
                    run.blobs.get(delta.digest), layout: run.snapshot.layout, masks: run.snapshot.masks)
                #expect(try run.snapshot.applying(reader).serialized() == run.blobs.get(first.snapshot.digest))
                let decoded = try reader.decode().require("mean").floats
                #expect(try decoded == run.fold(contributions).mean().require("mean").floats)
            }
            if let residual = first.residual {
                let owed = try Safetensors.parse(run.blobs.get(residual.digest), path: "r").tensors
                for name in ["mean", "variance"] { #expect(try owed.require(name).floats.allSatisfy { $0 == 0 }) }
            }
            try run.take(first)
        }
    }

    @Test func aStageBeginsWithoutTheMomentsOfAnother() throws {
        let run = try Run(Self.lossless)
        let rule = ServerOptimizer(kind: .adam, learningRate: 0.1)
        try run.take(try run.publish(try run.fold([(run.contribution(), 1)]), ServerStep(optimizer: rule)))
        let contributions = [(run.contribution(), UInt32(1))]
        let fresh = try run.publish(try run.fold(contributions), ServerStep(optimizer: rule))
        let continued = try run.publish(
            try run.fold(contributions), ServerStep(optimizer: rule, continues: true))
        #expect(fresh.snapshot != continued.snapshot)
        run.facts.moments = nil
        #expect(
            try run.publish(try run.fold(contributions), ServerStep(optimizer: rule, continues: true)).snapshot
                == fresh.snapshot)
    }

    @Test(arguments: [ServerOptimizer.Kind.momentum, .yogi])
    func weightsThatDieLeaveNoMomentsBehind(kind: ServerOptimizer.Kind) throws {
        let run = try Run(Self.lossless, isMasked: false)
        let rule = ServerOptimizer(kind: kind, epsilon: 0.5)
        try run.take(try run.publish(try run.fold([(run.contribution(), 1)]), ServerStep(optimizer: rule)))
        var bitmap = Bitmap(repeating: true, count: 300 * 257)
        for index in 0..<1000 { bitmap[index] = false }
        run.snapshot.masks = MaskSet(epoch: 1, bitmaps: ["w": bitmap])
        var zeros = run.contribution()
        for name in zeros.names { zeros[name] = Tensor(zeros: try zeros.require(name).shape) }
        let published = try run.publish(
            try run.fold([(zeros, 1)]), ServerStep(optimizer: rule, continues: true))
        let moments = try #require(published.moments)
        let first = try Safetensors.parse(run.blobs.get(moments.first.digest), path: "m").tensors.require("w").floats
        #expect(first[..<1000].allSatisfy { $0 == 0 } && first[1000...].contains { $0 != 0 })
        if let second = moments.second {
            let second = try Safetensors.parse(run.blobs.get(second.digest), path: "v").tensors.require("w").floats
            #expect(second[..<1000].allSatisfy { $0 == 0.25 })
        }
    }

    @Test func lostMomentsEndThePublicationWithoutTraces() throws {
        let run = try Run(WireScheme(values: .int8))
        let before = run.blobs.list()
        run.facts.moments = ServerMoments(first: BlobReference(digest: Digest(hashing: [7]), byteCount: 1))
        let mean = try run.fold([(run.contribution(), 1)])
        #expect(throws: LedgerError.self) {
            try run.publish(mean, ServerStep(optimizer: ServerOptimizer(kind: .momentum), continues: true))
        }
        #expect(run.blobs.list() == before)
        #expect(try FileManager.default.contentsOfDirectory(atPath: run.path + "/temporary").isEmpty)
    }
}
