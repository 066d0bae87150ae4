import Federation
import Foundation
import Ledger
import Tensors
import Testing
import UpdateCodec

@testable import Worker

/// SCAFFOLD from snapshots, against the paper's algorithm 1 with every variate sent.
struct DriftControlTests {
    private static let lossless = WireScheme(values: .float32, smallValues: .float32)

    /// Quadratics ½ h (y − t)² with other curvatures and targets for every worker, and gradient descent on them.
    private struct Quadratic {
        let curvature: [Double]
        let target: [Double]
        let weight: UInt32
        let steps: Int

        func train(
            _ start: [Float], correction: [Float]?, rate: Double, momentum: Double
        ) -> (end: [Float], reach: StepReach) {
            var y = start
            var velocity = [Double](repeating: 0, count: y.count)
            var reach = StepReach(momentum: momentum, nesterov: false)
            for step in 0..<steps {
                // Rates that change.
                let rate = rate * (1 - 0.5 * Double(step) / Double(steps))
                reach.step(rate: rate)
                for index in y.indices {
                    let gradient =
                        curvature[index] * (Double(y[index]) - target[index]) + Double(correction?[index] ?? 0)
                    velocity[index] = momentum * velocity[index] + gradient
                    y[index] -= Float(rate * velocity[index])
                }
            }
            return (y, reach)
        }
    }

    private static let workers = [
        Quadratic(curvature: [1, 4], target: [1, -2], weight: 100, steps: 10),
        Quadratic(curvature: [5, 1], target: [-3, 2], weight: 100, steps: 10),
        Quadratic(curvature: [2, 2], target: [0, 7], weight: 100, steps: 10),
    ]

    /// The minimum of the mean objective.
    private static let optimum = (0..<2).map { index in
        workers.reduce(0) { $0 + $1.curvature[index] * $1.target[index] }
            / workers.reduce(0) { $0 + $1.curvature[index] }
    }

    /// Rounds as the shells do them: the residual's file carries the variates, snapshots carry the rest.
    private func run(rounds: Int, corrected: Bool, momentum: Double) throws -> [Float] {
        let sample = try ChangeSample(seed: 1)
        var snapshot = Snapshot(
            graph: ChangeSample.digest, parameters: NamedTensors([("w", Tensor([4, 4] as [Float], shape: [2]))]))
        var previous: (digest: Federation.Digest, reach: Double)?
        var files: [Federation.Digest?] = Self.workers.map { _ in nil }
        for round in 0..<rounds {
            var accumulator = FoldAccumulator(layout: snapshot.layout)
            var reach = 0.0
            var sum = 0.0
            var variates: [[Float]] = []
            for (index, worker) in Self.workers.enumerated() {
                var control = try DriftControl(
                    ["w"],
                    previous: previous.map { try SnapshotFile(sample.blobs.map($0.digest), path: "previous") },
                    reach: previous?.reach ?? 1, current: snapshot.parameters,
                    own: files[index].map { try SafetensorsFile(sample.blobs.map($0), path: "own") })
                #expect((control.correction == nil) == (round == 0))
                let start = try snapshot.parameters.require("w").floats
                let (end, steps) = worker.train(
                    start, correction: corrected ? control.correction?["w"]?.floats : nil, rate: 0.15,
                    momentum: momentum)
                if !corrected {
                    control = try DriftControl([], previous: nil, reach: 1, current: snapshot.parameters, own: nil)
                }
                control.reach = steps.sum
                let encode = {
                    try ChangeEncoder(blobs: sample.blobs, scheme: Self.lossless, seed: 1)
                        .encode(
                            TrainerResult(NamedTensors([("w", Tensor(end, shape: [2]))])), since: snapshot,
                            digest: ChangeSample.digest, owed: files[index], control: control)
                }
                let encoded = try encode()
                // A task that is run again writes the same file.
                #expect(try encode().residual?.digest == encoded.residual?.digest)
                files[index] = try #require(encoded.residual?.digest)
                #expect(encoded.residual?.norm == 0)
                let own = try Safetensors.parse(sample.blobs.get(#require(files[index])), path: "own").tensors
                #expect(own.names == ["control:w"])
                variates.append(try own.require("control:w").floats)
                try accumulator.add(UpdateReader(encoded.bytes, layout: snapshot.layout), weight: worker.weight)
                reach += Double(worker.weight) * steps.sum
                sum += Double(worker.weight)
            }
            let bytes = snapshot.serialized()
            let before = try snapshot.parameters.require("w").floats
            previous = (try sample.blobs.put(bytes), reach / sum)
            snapshot.parameters.add(accumulator.mean())
            guard corrected else { continue }
            // What the next round reads off the snapshots is the mean of the variates: the paper's c.
            for index in 0..<2 {
                let now = try snapshot.parameters.require("w").floats[index]
                let server = Double(before[index] - now) / (reach / sum)
                let mean = variates.reduce(0) { $0 + Double($1[index]) } / 3
                #expect(abs(server - mean) < 1e-4 * max(1, abs(mean)), "round \(round)")
            }
        }
        return try snapshot.parameters.require("w").floats
    }

    @Test(arguments: [0, 0.5]) func correctionFindsTheMinimumThatAveragingMisses(momentum: Double) throws {
        let averaged = try run(rounds: 60, corrected: false, momentum: momentum)
        let corrected = try run(rounds: 60, corrected: true, momentum: momentum)
        let miss = { (found: [Float]) in zip(found, Self.optimum).map { abs(Double($0) - $1) }.max() ?? 0 }
        #expect(miss(averaged) > 0.1)
        #expect(miss(corrected) < 0.01, "\(corrected), not \(Self.optimum)")
    }

    /// A gradient of 1 throughout moves a weight by the reach.
    @Test(arguments: [0, 0.9], [false, true]) func reachIsWhatAConstantGradientMoves(momentum: Double, nesterov: Bool) {
        var reach = StepReach(momentum: momentum, nesterov: nesterov)
        var (velocity, place) = (0.0, 0.0)
        for step in 0..<20 {
            let rate = 0.1 / Double(1 + step)
            reach.step(rate: rate)
            velocity = momentum * velocity + 1
            place -= rate * (nesterov ? 1 + momentum * velocity : velocity)
        }
        #expect(abs(reach.sum + place) < 1e-12)
    }

    @Test func withoutItsOwnVariateAWorkerIsNotCorrected() throws {
        let sample = try ChangeSample(seed: 2)
        let snapshot = try sample.snapshot()
        let file = try SnapshotFile(
            sample.blobs.map(sample.blobs.put(snapshot.serialized())), path: "previous")
        let names = snapshot.parameters.names
        let none = try DriftControl(names, previous: file, reach: 1, current: snapshot.parameters, own: nil)
        #expect(none.correction == nil)
        // What stands there belongs to a model of other shapes.
        let other = NamedTensors(names.map { ("control:" + $0, Tensor([1] as [Float], shape: [1])) })
        let own = try SafetensorsFile(
            sample.blobs.map(sample.blobs.put(Safetensors.serialize(other))), path: "own")
        #expect(
            try DriftControl(names, previous: file, reach: 1, current: snapshot.parameters, own: own).correction == nil)
    }
}
