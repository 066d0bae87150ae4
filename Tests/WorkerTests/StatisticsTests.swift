import Federation
import Foundation
import Ledger
import Tensors
import Testing
import UpdateCodec

@testable import Worker

/// Running statistics on their way from workers to the fold.
struct StatisticsTests {
    private static let statistics = ModelStatistics(names: ["mean", "variance"], pairs: [("mean", "variance")])
    private static let schemes = [
        WireScheme(selection: .topK(density: 0.1), values: .int4, smallTensorElements: 0),
        WireScheme(selection: .topK(density: 0.1), values: .sign, rotates: true, momentum: 0.9, clipNorm: 1e-4),
        WireScheme(budget: 1200), WireScheme(budget: 1200, momentum: 0.9, clipNorm: 1e-4),
        WireScheme(values: .float32, smallValues: .float32),
    ]

    private static func snapshot() throws -> Snapshot {
        var random = SeededGenerator(seed: 5)
        let weights = Tensor((0..<4096).map { _ in random.uniform() - 0.5 }, shape: try Shape([64, 64]))
        // The variance stands first, as nothing forbids.
        return Snapshot(
            graph: ChangeSample.digest,
            parameters: NamedTensors([
                ("variance", Tensor([1, 0.5, 4, 1e-3] as [Float], shape: [4])), ("w", weights),
                ("mean", Tensor([0, 1, -2, 100] as [Float], shape: [4])),
            ]))
    }

    /// Two workers whose data have nothing in common, twice over, each with what it owes: whatever the wire does to the
    /// weights, the fold gives the mean and the variance of all samples.
    @Test(arguments: schemes) func foldedStatisticsAreThoseOfAllSamples(scheme: WireScheme) throws {
        let sample = try ChangeSample(seed: 5)
        var snapshot = try Self.snapshot()
        var owed: [Federation.Digest?] = [nil, nil]
        for round in 0..<2 {
            let means: [[Float]] = [[3, 1, -2, 101], [-5, 1.5, -2.25, 99]]
            let variances: [[Float]] = [[0.25, 0.5, 2, 0.01], [1.5, 0.001, 3, 0.02]]
            var accumulator = FoldAccumulator(layout: snapshot.layout)
            for worker in 0..<2 {
                var trained = snapshot.parameters
                var random = SeededGenerator(seed: UInt64(10 * round + worker))
                trained.modify("w") {
                    $0.withMutableElements(as: Float.self) { for index in $0.indices { $0[index] += random.uniform() } }
                }
                trained["mean"] = Tensor(means[worker], shape: [4])
                trained["variance"] = Tensor(variances[worker], shape: [4])
                let encoded = try ChangeEncoder(
                    blobs: sample.blobs, scheme: scheme, seed: 1, statistics: Self.statistics
                )
                .encode(
                    TrainerResult(trained), since: snapshot, digest: ChangeSample.digest, owed: owed[worker])
                if let budget = scheme.budget { #expect(encoded.bytes.count <= budget) }
                owed[worker] = encoded.residual?.digest
                if let residual = owed[worker] {
                    let rest = try Safetensors.parse(sample.blobs.get(residual), path: "r").tensors
                    for name in ["mean", "variance", "momentum:mean", "momentum:variance"] {
                        #expect((rest[name]?.floats ?? []).allSatisfy { $0 == 0 }, "\(name) is owed")
                    }
                }
                // One worker has three times as many samples.
                try accumulator.add(
                    UpdateReader(encoded.bytes, layout: snapshot.layout), weight: worker == 0 ? 300 : 100)
            }
            let mean = accumulator.mean()
            for index in 0..<4 {
                let (a, b) = (0.75, 0.25)
                let (m, n) = (Double(means[0][index]), Double(means[1][index]))
                let (v, w) = (Double(variances[0][index]), Double(variances[1][index]))
                let pooledMean = a * m + b * n
                let pooledVariance =
                    a * v + b * w + a * (m - pooledMean) * (m - pooledMean)
                    + b * (n - pooledMean) * (n - pooledMean)
                let old = (
                    try snapshot.parameters.require("mean").floats[index],
                    try snapshot.parameters.require("variance").floats[index]
                )
                let moved = try mean.require("mean").floats[index]
                let change = try mean.require("variance").floats[index]
                #expect(abs(Double(old.0 + moved) - pooledMean) < 1e-5 * max(1, abs(pooledMean)))
                let found = Double(old.1 + ModelStatistics.pool(change, meanChange: moved, variance: old.1))
                #expect(abs(found - pooledVariance) < 1e-5 * max(1, pooledVariance), "\(index) in round \(round)")
            }
            snapshot.parameters["mean"] = Tensor([1, 1, -2, 100] as [Float], shape: [4])
            snapshot.parameters["variance"] = Tensor([13, 0.4, 2, 0.7] as [Float], shape: [4])
        }
    }

    @Test func aBudgetThatStatisticsDoNotFitInIsRefused() throws {
        let sample = try ChangeSample(seed: 5)
        let snapshot = try Self.snapshot()
        let encoder = ChangeEncoder(
            blobs: sample.blobs, scheme: WireScheme(budget: 100), seed: 1, statistics: Self.statistics)
        #expect {
            try encoder.encode(
                TrainerResult(snapshot.parameters), since: snapshot, digest: ChangeSample.digest, owed: nil)
        } throws: { error in
            if case .budgetTooSmall(100, let needed)? = error as? CodecError { needed > 100 + 32 } else { false }
        }
    }
}
