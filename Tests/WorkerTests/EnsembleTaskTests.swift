import Engine
import Federation
import Foundation
import Ledger
import ModelGraph
import Shell
import Tensors
import Testing
import UpdateCodec

@testable import Worker

/// A member of an ensemble: what it trains, what it says, and what it keeps.
struct EnsembleTaskTests {
    private final class Bench {
        let folder: String
        let blobs: BlobStore
        let runner: TaskRunner
        let reference: SnapshotReference

        init(_ student: StudentSource) throws {
            folder = FileManager.default.temporaryDirectory.appendingPathComponent("member-\(UUID().uuidString)").path
            blobs = try BlobStore(directory: folder + "/blobs")
            runner = TaskRunner(blobs: blobs, data: try EnsembleTaskTests.data(student))
            let model = try ModelBuilder.build(architecture: "mlp", inputShape: [1, 28, 28], width: 8, seed: 3)
            reference = try blobs.opening(model)
        }

        deinit { try? FileManager.default.removeItem(atPath: folder) }

        func run(
            _ work: TaskWork, round: Int, member: MemberMemory? = nil, seed: UInt64 = 5
        ) throws -> (submission: Submission, member: MemberMemory?) {
            let offer = TaskOffer(
                round: round, leaseSeconds: 10, seed: seed, snapshot: reference, scheme: WireScheme(values: .int8),
                acceptedRounds: 0, work: work)
            let result = try runner.run(
                offer, residual: nil, member: member, progress: { _ in }, isCancelled: { false })
            return (result.submission, runner.nextMember)
        }

        func logits(_ digest: Federation.Digest?) throws -> Tensor {
            try UpdateReader(blobs.get(#require(digest)), layout: LogitsTable.layout(EnsembleTaskTests.request))
                .decode().require("logits")
        }

        /// A consensus with these logits, based on another snapshot than the task's.
        func consensus(_ logits: Tensor, base: Federation.Digest? = nil) throws -> BlobReference {
            let encoded = try UpdateEncoder.encode(
                NamedTensors([("logits", logits)]),
                header: UpdateHeader(kind: .logits, base: (base ?? reference.snapshot.digest).bytes, maskEpoch: 0),
                scheme: WireScheme(values: .float32, smallTensorElements: 0))
            return BlobReference(digest: try blobs.put(encoded.bytes), byteCount: encoded.bytes.count)
        }
    }

    static let request = LogitsRequest(samples: 40, classes: 10, trainedRound: 0)

    private static func data(_ student: StudentSource) throws -> WorkerData {
        let spec = "synthetic:digits?samples=200&holdout=40"
        var data = try WorkerData(spec: DataSpec(parsing: spec, environment: [:]))
        data.publicSet = try PublicSet(spec: DataSpec(parsing: spec + "&part=public", environment: [:]))
        data.student = try OwnStudent(student, data: data)
        return data
    }

    private static func train(_ consensus: BlobReference? = nil, share: Double = 0, epochs: Double = 1) -> TaskWork {
        .train(
            TrainingRecipe(
                epochs: epochs, batch: 16, learningRate: 0.05,
                ensemble: EnsembleLesson(EnsemblePlan(temperature: 2), consensus: consensus, share: share)),
            teacher: nil)
    }

    @Test func aStudentOfOnesOwnIsKeptAndNothingOfItIsSent() throws {
        let bench = try Bench(.architecture("cnn"))
        let first = try bench.run(Self.train(), round: 0)
        #expect(first.submission.blob == nil && first.submission.metrics.measured == 160)
        let member = try #require(first.member)
        #expect(member.trainedRound == 0)
        // Done again: the same bytes, from the offer alone.
        #expect(try bench.run(Self.train(), round: 0).member == member)
        // It goes on from where it was, so the loss falls and the model is another one.
        let second = try bench.run(Self.train(), round: 2, member: member)
        #expect(second.member?.model != member.model)
        #expect(second.submission.metrics.lossSum < first.submission.metrics.lossSum)
        #expect(try bench.run(Self.train(), round: 2, member: member).member == second.member)
        // A round that did not count is as if it had not been: what stood before stands.
        #expect(try bench.run(Self.train(), round: 4, member: member, seed: 5).member?.model == second.member?.model)
        let kept = try Safetensors.parse(bench.blobs.get(#require(member.model)), path: "kept")
        #expect(kept.metadata == ["pleach.student": "cnn"])
        // Another student begins anew; the same file of another shape is said to be one.
        let other = try Bench(.architecture("mlp"))
        _ = try other.blobs.put(bench.blobs.get(#require(member.model)))
        #expect(throws: Never.self) { try other.run(Self.train(), round: 2, member: member) }
    }

    @Test func aStudentFromAFileBeginsAsTheFileSays() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).onnx").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let graph = try ModelBuilder.build(architecture: "mlp", inputShape: [1, 28, 28], width: 5, seed: 11)
        try Data(graph.serialized()).write(to: URL(fileURLWithPath: path))
        let bench = try Bench(.file(path))
        #expect(bench.runner.data.student?.parameterCount == graph.parameterTensors().elementCount)
        let untrained = try bench.run(.logits(Self.request), round: 1)
        let set = try #require(bench.runner.data.publicSet).data
        let exact = try LogitsTable.centered(Executable(graph).logits(set.batch(0..<40).inputs)).floats
        let sent = try bench.logits(untrained.submission.blob?.digest).floats
        let largest = exact.map(abs).max() ?? 0
        #expect(zip(sent, exact).allSatisfy { abs($0 - $1) <= largest / 127 })
        let trained = try bench.run(Self.train(), round: 0)
        let said = try bench.run(.logits(Self.request), round: 1, member: trained.member)
        #expect(trained.submission.blob == nil && said.submission.blob != untrained.submission.blob)
    }

    @Test func outsideOfEnsemblesEverybodyTrainsTheRunsModel() throws {
        let bench = try Bench(.architecture("cnn"))
        let result = try bench.run(.train(TrainingRecipe(batch: 16), teacher: nil), round: 0)
        #expect(result.submission.blob != nil && result.member == nil)
        let evaluated = try bench.run(.evaluate(samples: nil, compact: nil), round: 1)
        let shared = try Bench(.shared).run(.evaluate(samples: nil, compact: nil), round: 1)
        #expect(evaluated.submission.metrics.lossSum == shared.submission.metrics.lossSum)
    }

    @Test func theModelThatSpeaksIsTheOneThatWasTrained() throws {
        let bench = try Bench(.shared)
        let trained = try bench.run(Self.train(epochs: 4), round: 0)
        #expect(trained.submission.blob != nil)
        let member = try #require(trained.member)
        let said = try bench.run(.logits(Self.request), round: 1, member: member)
        #expect(said.member == MemberMemory(model: member.model, trainedRound: 0, logits: said.submission.blob?.digest))
        #expect(said.submission.metrics.samples == 160)
        #expect(try bench.run(.logits(Self.request), round: 1, member: member).submission.blob == said.submission.blob)
        // Without it, or with that of another round, the snapshot speaks.
        let untrained = try bench.run(.logits(Self.request), round: 1)
        #expect(untrained.submission.blob != said.submission.blob)
        var late = Self.request
        late.trainedRound = 2
        #expect(try bench.run(.logits(late), round: 3, member: member).submission.blob == untrained.submission.blob)
        #expect(said.submission.metrics.correct > untrained.submission.metrics.correct)
        // What is sent is the executable's logits less each row's mean, to eight bits.
        let snapshot = try SnapshotFile(bench.blobs.map(bench.reference.snapshot.digest), path: "s").snapshot()
        let graph = try bench.blobs.graph(snapshot.graph, parameters: snapshot.parameters)
        let set = try #require(bench.runner.data.publicSet).data
        let exact = try Executable(graph).logits(set.batch(0..<40).inputs).floats
        let sent = try bench.logits(untrained.submission.blob?.digest).floats
        for row in 0..<40 {
            let mean = exact[row * 10..<row * 10 + 10].reduce(0, +) / 10
            let largest = exact.map(abs).max() ?? 0
            for place in row * 10..<row * 10 + 10 {
                #expect(abs(sent[place] - (exact[place] - mean)) <= 2 * largest / 127, "row \(row)")
            }
        }
    }

    /// The teacher of public batches is the consensus: with logits that all say 7, the student says 7 ever more often.
    @Test func theConsensusTeaches() throws {
        let bench = try Bench(.shared)
        let logits = Tensor((0..<400).map { $0 % 10 == 7 ? Float(20) : -2 }, shape: [40, 10])
        let consensus = try bench.consensus(logits)
        func share(_ work: TaskWork) throws -> Double {
            let member = try bench.run(work, round: 0).member
            let said = try bench.logits(
                bench.run(.logits(Self.request), round: 1, member: member).submission.blob?.digest)
            return Double(
                (0..<40).count { row in
                    let values = said.floats[row * 10..<row * 10 + 10]
                    return values.max() == values[row * 10 + 7]
                }) / 40
        }
        let lesson = EnsembleLesson(EnsemblePlan(temperature: 1, epochs: 40), consensus: consensus)
        let taught = Self.recipe(lesson)
        let untaught = Self.recipe(EnsembleLesson(EnsemblePlan()))
        #expect(try share(taught) > 0.9)
        #expect(try share(untaught) < 0.5)
        // Metrics are of private batches alone.
        #expect(try bench.run(taught, round: 0).submission.metrics.measured == 16)
    }

    private static func recipe(_ lesson: EnsembleLesson) -> TaskWork {
        .train(TrainingRecipe(epochs: 0.1, batch: 16, learningRate: 0.05, ensemble: lesson), teacher: nil)
    }

    @Test func mutualLearningLeavesOutWhatOneSaidOneself() throws {
        // By hand: (m - s o) / (1 - s).
        let own = Tensor([1, -2, 4, 0] as [Float], shape: [2, 2])
        let mean = Tensor([2, 0, 1, -1] as [Float], shape: [2, 2])
        let byHand: [Float] = [2.3333333, 0.6666667, 0, -1.3333334]
        #expect(LogitsTable.leavingOut(own, share: 0.25, of: mean).floats == byHand)
        #expect(LogitsTable.leavingOut(own, share: 0, of: mean) == mean)
        // The mean of a and b with weights 3 and 1, less a, is b.
        let bench = try Bench(.shared)
        let said = try bench.run(.logits(Self.request), round: 1)
        let a = try bench.logits(said.member?.logits).floats
        let b = (0..<400).map { Float(($0 * 7) % 13) / 4 }
        let both = Tensor(zip(a, b).map { (3 * $0 + $1) / 4 }, shape: [40, 10])
        func model(_ logits: Tensor, share: Double, base: Federation.Digest? = nil) throws -> Federation.Digest? {
            let consensus = try bench.consensus(logits, base: base)
            return try bench.run(Self.train(consensus, share: share), round: 2, member: said.member).member?.model
        }
        let alone = Tensor(b, shape: [40, 10])
        let parameters = { (digest: Federation.Digest?) in
            try Safetensors.parse(bench.blobs.get(#require(digest)), path: "member").tensors
        }
        let others = try parameters(model(both, share: 0.75))
        let reference = try parameters(model(alone, share: 0))
        for (name, tensor) in others.ordered {
            let expected = try reference.require(name).floats
            #expect(zip(tensor.floats, expected).allSatisfy { abs($0 - $1) < 1e-4 }, "\(name)")
        }
        #expect(try model(both, share: 0) != model(both, share: 0.75))
        // Logits that were sent for another round than the consensus is of are no part of it.
        let elsewhere = Federation.Digest(hashing: [1])
        #expect(try model(both, share: 0.75, base: elsewhere) == model(both, share: 0, base: elsewhere))
    }

    @Test func whatDoesNotFitIsDeclined() throws {
        let bench = try Bench(.shared)
        for request in [
            LogitsRequest(samples: 41, classes: 10), LogitsRequest(samples: 40, classes: 9),
        ] { #expect(throws: TaskFailure.self) { try bench.run(.logits(request), round: 1) } }
        let short = try bench.consensus(Tensor(zeros: [39, 10]))
        #expect(throws: CodecError.self) { try bench.run(Self.train(short), round: 2) }
        let update = try bench.run(.train(TrainingRecipe(batch: 16), teacher: nil), round: 0).submission.blob
        #expect(throws: (any Error).self) { try bench.run(Self.train(update), round: 2) }
    }

    @Test func studentsThatCannotWorkEndTheStart() throws {
        #expect { try Self.data(.file("/nowhere/x.onnx")) } throws: { "\($0)".contains("/nowhere/x.onnx") }
        #expect { try Self.data(.architecture("resnet")) } throws: { "\($0)".contains("resnet") }
        let colors = try ModelBuilder.build(architecture: "cnn", inputShape: [3, 28, 28], seed: 1)
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).onnx").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Data(colors.serialized()).write(to: URL(fileURLWithPath: path))
        #expect(throws: DataError.self) { try Self.data(.file(path)) }
        var lonely = try Self.data(.shared)
        lonely.publicSet = nil
        #expect { try OwnStudent(.architecture("mlp"), data: lonely) } throws: { "\($0)".contains("needs --public") }
    }

    @Test func thePublicSetsNameIsThatOfItsSamplesInTheirOrder() throws {
        func name(_ options: String) throws -> PublicSetName {
            try PublicSet(spec: DataSpec(parsing: "synthetic:digits?samples=300\(options)", environment: [:])).name
        }
        let held = try name("&holdout=290&part=public")
        #expect(held.samples == 290)
        #expect(try name("&holdout=290&part=public&partition=dirichlet:0.5") == held)
        #expect(try name("&holdout=289&part=public").digest != held.digest)
        #expect(try name("&holdout=290&part=public&scale=2").digest != held.digest)
        // By hand, for one that is smaller than a block and one that is larger.
        for count in [3, 290] {
            let spec = "synthetic:digits?samples=300&holdout=\(count)&part=public"
            let data = try Dataset.load(DataSpec(parsing: spec, environment: [:]))
            let bytes = Array("float32 1x28x28\n".utf8) + data.batch(0..<count).inputs.bytes
            let found = try PublicSet(spec: DataSpec(parsing: spec, environment: [:])).name.digest
            #expect(found == Federation.Digest(hashing: bytes))
        }
    }

    @Test func lostFilesFallBackToWhatIsThere() throws {
        let bench = try Bench(.shared)
        let store = try WorkerStore(directory: bench.folder + "/state")
        let there = try store.blobs.put([1, 2, 3])
        let gone = Federation.Digest(hashing: [9])
        let settled = MemberMemory(model: there, trainedRound: 1, logits: gone)
        let pending = WorkerMemory.Pending(
            submission: Submission(round: 2, blob: nil, metrics: TaskMetrics(samples: 1)), residual: nil,
            member: MemberMemory(model: gone, trainedRound: 2, logits: there))
        let recovered = try store.recover(WorkerMemory(run: "r", pending: pending, member: settled))
        #expect(recovered.memory.member == MemberMemory(model: there, trainedRound: 1))
        #expect(
            recovered.memory.pending?.member == MemberMemory(model: there, trainedRound: 1, logits: there))
        #expect(recovered.losses.count == 2 && recovered.losses.allSatisfy { $0.contains("ensemble") })
        // A memory of before ensembles is read as it was.
        let old = try JSONDecoder().decode(WorkerMemory.self, from: Data(#"{"settledRounds":3}"#.utf8))
        #expect(old == WorkerMemory(settledRounds: 3))
    }
}
