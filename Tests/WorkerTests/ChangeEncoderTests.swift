import Federation
import Foundation
import Tensors
import Testing
import UpdateCodec

@testable import Worker

/// What a worker sends, owes and keeps moving, to the bit.
struct ChangeEncoderTests {
    private static let top = Selection.topK(density: 0.1)

    static let schemes: [WireScheme] = [
        WireScheme(selection: top, values: .int4, smallTensorElements: 64),
        WireScheme(selection: top, values: .int4, smallTensorElements: 64, momentum: 0.9),
        WireScheme(selection: top, values: .ternary, smallTensorElements: 0, momentum: 0.5, clipNorm: 0.05),
        WireScheme(
            selection: .topK(density: 0.2, method: .threshold), values: .int8, rounding: .stochastic, momentum: 0.9,
            clipNorm: 1e-3),
        WireScheme(values: .sign, rotates: true, smallTensorElements: 64, momentum: 0.3),
        WireScheme(budget: 1000), WireScheme(budget: 1000, momentum: 0.9, clipNorm: 0.05),
        WireScheme(values: .int8, clipNorm: 0.05),
    ]

    /// Five tasks, each by a process that starts with what the last one left on disk; the mask appears with the third and
    /// tightens with the fourth.
    @Test(arguments: schemes)
    func severalTasksAreThePapersToTheBit(scheme: WireScheme) throws {
        let sample = try ChangeSample(seed: 3)
        var reference = ReferenceWorker(scheme)
        var masks = MaskSet()
        var owed: Digest?
        var clipped = 0
        for task in 0..<5 {
            if task >= 2, task <= 3 { masks = sample.masks(alive: 0.6, epoch: masks.epoch + 1, within: masks) }
            let snapshot = try sample.snapshot(masks)
            let trained = sample.trained(snapshot)
            if let limit = scheme.clipNorm, Self.norm(trained, snapshot) > limit { clipped += 1 }
            let seed = UInt64(task)
            let expected = try reference.step(trained, since: snapshot, seed: seed)
            let encoded = try sample.encode(trained, since: snapshot, scheme, seed: seed, owed: owed)
            #expect(encoded.bytes == expected, "task \(task)")
            let residual = try sample.residual(encoded)
            Self.expectSameBits(residual, reference.residual(snapshot))
            #expect(encoded.residual?.norm == Self.norm(residual, of: snapshot.parameters.names))
            for (name, bitmap) in masks.bitmaps {
                for name in [name, "momentum:" + name] {
                    guard let values = residual[name]?.floats else { continue }
                    #expect(values.indices.allSatisfy { bitmap[$0] || values[$0].bitPattern == 0 }, "\(name) is dead")
                }
            }
            owed = encoded.residual?.digest
            try sample.restart()
        }
        #expect(scheme.clipNorm == nil || clipped > 0)
    }

    private static func norm(_ trained: NamedTensors, _ snapshot: Snapshot) -> Double {
        var change = trained
        for (name, before) in snapshot.parameters.ordered { change.modify(name) { $0.subtract(before) } }
        return change.norm
    }

    private static func norm(_ tensors: NamedTensors, of names: [String]) -> Double {
        names.reduce(0) { $0 + (tensors[$1]?.withElements(as: Float.self) { $0.sumOfSquares } ?? 0) }.squareRoot()
    }

    private static func expectSameBits(_ found: NamedTensors, _ expected: NamedTensors) {
        #expect(found.names == expected.names)
        for (name, tensor) in expected.ordered {
            // A zero's sign is nobody's promise.
            #expect(
                found[name]?.floats.map { ($0 + 0).bitPattern } == tensor.floats.map { ($0 + 0).bitPattern },
                "\(name)")
        }
    }

    @Test func whatWasSentStopsMoving() throws {
        let sample = try ChangeSample(seed: 4)
        let snapshot = try sample.snapshot()
        let scheme = WireScheme(selection: Self.top, values: .int4, smallTensorElements: 0, momentum: 0.9)
        let encoded = try sample.encode(sample.trained(snapshot), since: snapshot, scheme, owed: nil)
        let residual = try sample.residual(encoded)
        let decoded = try UpdateReader(encoded.bytes, layout: snapshot.layout).decode()
        for (name, sent) in decoded.ordered {
            let moving = try residual.require("momentum:" + name).floats
            let sent = sent.floats
            #expect(sent.contains { $0 != 0 } && moving.contains { $0 != 0 })
            #expect(sent.indices.allSatisfy { sent[$0] == 0 || moving[$0] == 0 })
        }
    }

    // MARK: What is not there

    @Test func aLostResidualTakesTheMomentumWithIt() throws {
        let sample = try ChangeSample(seed: 5)
        let scheme = WireScheme(selection: Self.top, values: .int4, momentum: 0.9)
        let snapshot = try sample.snapshot()
        let first = try sample.encode(sample.trained(snapshot), since: snapshot, scheme, owed: nil)
        let trained = sample.trained(snapshot)
        let fresh = try sample.encode(trained, since: snapshot, scheme, owed: nil)
        let moved = try sample.encode(trained, since: snapshot, scheme, owed: first.residual?.digest)
        #expect(fresh.bytes != moved.bytes)
        var reference = ReferenceWorker(scheme)
        #expect(try reference.step(trained, since: snapshot) == fresh.bytes)
        Self.expectSameBits(try sample.residual(fresh), reference.residual(snapshot))
        // What `WorkerStore.recover` puts in a lost one's place.
        let nothing = try sample.blobs.put(Safetensors.serialize(NamedTensors()))
        #expect(try sample.encode(trained, since: snapshot, scheme, owed: nothing).bytes == fresh.bytes)
    }

    @Test func aTensorOfAnotherShapeIsOwedNothing() throws {
        let sample = try ChangeSample(seed: 6)
        let scheme = WireScheme(selection: Self.top, values: .int4, momentum: 0.9)
        let snapshot = try sample.snapshot()
        let trained = sample.trained(snapshot)
        var other = NamedTensors()
        for (name, tensor) in snapshot.parameters.ordered {
            let values = Tensor(
                [Float](repeating: 5, count: tensor.elementCount), shape: try Shape([tensor.elementCount, 1]))
            other[name] = values
            other["momentum:" + name] = values
        }
        // Right in shape, but not in type.
        other["momentum:a.bias"] = Tensor(zeros: try Shape([32]), elementType: .int32)
        let owed = try sample.blobs.put(Safetensors.serialize(other))
        let found = try sample.encode(trained, since: snapshot, scheme, owed: owed)
        #expect(try found.bytes == sample.encode(trained, since: snapshot, scheme, owed: nil).bytes)
    }

    @Test func momentumThatIsNoLongerAskedForIsDropped() throws {
        let sample = try ChangeSample(seed: 7)
        var scheme = WireScheme(selection: Self.top, values: .int4, momentum: 0.9)
        let snapshot = try sample.snapshot()
        let first = try sample.encode(sample.trained(snapshot), since: snapshot, scheme, owed: nil)
        scheme.momentum = 0
        var reference = ReferenceWorker(scheme)
        for (name, tensor) in try sample.residual(first).ordered where !name.hasPrefix("momentum:") {
            reference.v[name] = tensor.floats
        }
        let trained = sample.trained(snapshot)
        let second = try sample.encode(trained, since: snapshot, scheme, owed: first.residual?.digest)
        #expect(try reference.step(trained, since: snapshot) == second.bytes)
        Self.expectSameBits(try sample.residual(second), reference.residual(snapshot))
        #expect(try sample.residual(second).names == snapshot.parameters.names)
    }

    @Test func whatLosesNothingOwesNothing() throws {
        let sample = try ChangeSample(seed: 8)
        let snapshot = try sample.snapshot()
        let lossless = WireScheme(values: .float32, smallValues: .float32, momentum: 0.9)
        #expect(try sample.encode(sample.trained(snapshot), since: snapshot, lossless, owed: nil).residual == nil)
        let forgetful = WireScheme(selection: Self.top, errorFeedback: false, momentum: 0.9)
        #expect(try sample.encode(sample.trained(snapshot), since: snapshot, forgetful, owed: nil).residual == nil)
        // A budget may leave something out, whatever the formats say.
        let budget = WireScheme(values: .float32, smallValues: .float32, budget: 1000)
        #expect(try sample.encode(sample.trained(snapshot), since: snapshot, budget, owed: nil).residual != nil)
    }

    @Test func aModelThatTakesTheNameOfAMomentumIsRefused() throws {
        let sample = try ChangeSample(seed: 9)
        let value = Tensor([Float(1)], shape: try Shape([1]))
        let snapshot = Snapshot(
            graph: ChangeSample.digest, parameters: NamedTensors([("x", value), ("momentum:x", value)]))
        let scheme = WireScheme(selection: Self.top)
        #expect(try sample.encode(snapshot.parameters, since: snapshot, scheme, owed: nil).residual != nil)
        var moving = scheme
        moving.momentum = 0.5
        #expect(throws: TaskFailure.self) {
            try sample.encode(snapshot.parameters, since: snapshot, moving, owed: nil)
        }
    }

    // MARK: Clipping

    @Test(arguments: [0.5, 2]) func aLargeChangeIsScaledDown(ratio: Double) throws {
        let sample = try ChangeSample(seed: 10)
        let snapshot = try sample.snapshot()
        let trained = sample.trained(snapshot)
        let norm = Self.norm(trained, snapshot)
        let scheme = WireScheme(values: .float32, smallValues: .float32, clipNorm: norm * ratio)
        let encoded = try sample.encode(trained, since: snapshot, scheme, owed: nil)
        let sent = try UpdateReader(encoded.bytes, layout: snapshot.layout).decode()
        #expect(abs(sent.norm / (norm * min(1, ratio)) - 1) < 1e-6)
        let share = Float(min(1, ratio))
        for (name, before) in snapshot.parameters.ordered {
            let change = try zip(trained.require(name).floats, before.floats).map { ($0 - $1) * share }
            #expect(try zip(sent.require(name).floats, change).allSatisfy { abs($0 - $1) <= abs($1) * 1e-6 })
        }
    }

    @Test func whatIsOwedIsNotClipped() throws {
        let sample = try ChangeSample(seed: 11)
        let snapshot = try sample.snapshot()
        let owed = NamedTensors(
            snapshot.parameters.ordered.map { name, tensor in
                (name, Tensor([Float](repeating: 1, count: tensor.elementCount), shape: tensor.shape))
            })
        let scheme = WireScheme(values: .float32, smallValues: .float32, clipNorm: 1e-6)
        let encoded = try sample.encode(
            sample.trained(snapshot), since: snapshot, scheme, owed: sample.blobs.put(Safetensors.serialize(owed)))
        let sent = try UpdateReader(encoded.bytes, layout: snapshot.layout).decode()
        #expect(sent.ordered.allSatisfy { $0.tensor.floats.allSatisfy { abs($0 - 1) < 1e-5 } })
    }

    @Test(arguments: [Float.nan, .infinity, -.infinity]) func aDivergedChangeIsRefused(value: Float) throws {
        let sample = try ChangeSample(seed: 12)
        let snapshot = try sample.snapshot()
        var trained = sample.trained(snapshot)
        trained.modify("b.weight") { $0.withMutableElements(as: Float.self) { $0[7] = value } }
        for scheme in Self.schemes {
            #expect(throws: CodecError.notFinite(tensor: "b.weight")) {
                try sample.encode(trained, since: snapshot, scheme, owed: nil)
            }
        }
    }

    // MARK: Passes

    /// Counts what is asked for and hands out a trainer's result.
    private struct Counted: TrainedParameters {
        final class Counts { var passes: [Bool] = [] }

        var result: TrainerResult
        let counts = Counts()

        mutating func beginPass(isLast: Bool) {
            counts.passes.append(isLast)
            result.beginPass(isLast: isLast)
        }

        mutating func next(_ name: String, before: Tensor) throws -> Tensor { try result.next(name, before: before) }

        func peek(_ name: String) -> Tensor? { result.peek(name) }
    }

    @Test func noPassIsMadeInVain() throws {
        let sample = try ChangeSample(seed: 13)
        let snapshot = try sample.snapshot()
        let passes: [(WireScheme, [Bool])] = [
            (WireScheme(selection: Self.top, momentum: 0.9), [true]), (WireScheme(clipNorm: 1), [false, true]),
            (WireScheme(budget: 1000), [false, true]), (WireScheme(budget: 1000, clipNorm: 1), [false, false, true]),
        ]
        for (scheme, expected) in passes {
            let trained = Counted(result: TrainerResult(sample.trained(snapshot)))
            _ = try ChangeEncoder(blobs: sample.blobs, scheme: scheme, seed: 1)
                .encode(trained, since: snapshot, digest: ChangeSample.digest, owed: nil)
            #expect(trained.counts.passes == expected)
        }
    }

    @Test func noiseIsTheSameInEveryPass() throws {
        let before = Tensor(zeros: try Shape([37]))
        var echo = EchoResult(seed: 3)
        let passes = (0..<3).map { pass in
            echo.beginPass(isLast: pass == 2)
            return [echo.next("a", before: before), echo.next("b", before: before)]
        }
        #expect(passes[0] == passes[1] && passes[0] == passes[2])
        #expect(passes[0][0] != passes[0][1])
    }

    @Test func aTrainersResultIsGivenAwayInTheLastPass() throws {
        let value = Tensor([Float(1), 2], shape: try Shape([2]))
        var result = TrainerResult(NamedTensors([("a", value)]))
        for isLast in [false, false, true] {
            result.beginPass(isLast: isLast)
            #expect(try result.next("a", before: value) == value)
        }
        // Nothing of it is held any more.
        #expect(try result.next("a", before: value).bytes.isEmpty)
    }

    // MARK: A task

    /// Budget, momentum and clipping through the task thread: the result decodes, and the same task gives the same bytes.
    @Test func aTaskWithABudgetIsRepeatable() async throws {
        let bench = try TaskBench()
        let (snapshots, graph, _) = try bench.publish()
        var offer = TaskBench.offer(
            SnapshotReference(version: 0, snapshot: snapshots[0], graph: graph, maskEpoch: 0))
        offer.scheme = WireScheme(budget: 2000, momentum: 0.9, clipNorm: 0.01)
        let snapshot = try Snapshot(parsing: bench.coordinator.get(snapshots[0].digest), path: "snapshot")
        var owed: Digest?
        for _ in 0..<2 {
            #expect(try await bench.prepare(offer, memory: WorkerMemory(run: "r", residual: owed)) == nil)
            #expect(await bench.run(offer, residual: owed) == nil)
            let first = try #require(bench.finished)
            #expect(await bench.run(offer, residual: owed) == nil)
            let again = try #require(bench.finished)
            #expect(again.submission.blob == first.submission.blob)
            #expect(again.residual == first.residual)
            let blob = try #require(first.submission.blob)
            let sent = try UpdateReader(bench.worker.get(blob.digest), layout: snapshot.layout).decode()
            #expect(sent.norm > 0)
            let metrics = first.submission.metrics
            #expect(metrics.density > 0 && metrics.residualNorm > 0)
            #expect(abs(metrics.bitsPerWeight * Double(snapshot.layout.elementCount) / 8 - Double(blob.byteCount)) < 1)
            let residual = try #require(first.residual)
            let kept = try Safetensors.parse(bench.worker.get(residual), path: "residual").tensors.names
            #expect(kept == snapshot.parameters.names.flatMap { [$0, "momentum:" + $0] })
            owed = first.residual
            offer.round += 1
        }
    }
}
