import Engine
import Federation
import Foundation
import Ledger
import ModelGraph
import Tensors
import Testing
import UpdateCodec

@testable import Worker

/// Training tasks with teachers: several, of other sizes, of the worker's own, and with values inside.
struct TeachingTests {
    /// A worker with 40 digits, a small student's snapshot and wider teachers.
    private final class Bench {
        let folder: String
        let blobs: BlobStore
        let runner: TaskRunner
        let reference: SnapshotReference
        private let data: WorkerData

        init() throws {
            folder = FileManager.default.temporaryDirectory.appendingPathComponent("teaching-\(UUID().uuidString)").path
            blobs = try BlobStore(directory: folder + "/blobs")
            data = try WorkerData(spec: DataSpec(parsing: "synthetic:digits?samples=40", environment: [:]))
            let own = folder + "/own.onnx"
            try Data(Self.model([1, 28, 28], width: 6, seed: 9).serialized()).write(to: URL(fileURLWithPath: own))
            runner = TaskRunner(blobs: blobs, data: data, ownTeacher: OwnTeacher(path: own))
            let model = try Self.model([1, 28, 28], width: 4, seed: 3)
            reference = try blobs.opening(model)
        }

        deinit { try? FileManager.default.removeItem(atPath: folder) }

        static func model(_ input: [Int], width: Int, seed: UInt64) throws -> Graph {
            try ModelBuilder.build(architecture: "resnet20", inputShape: input, classes: 10, width: width, seed: seed)
        }

        func teacher(_ input: [Int] = [1, 28, 28], seed: UInt64) throws -> TeacherReference.Source {
            let bytes = try Self.model(input, width: 6, seed: seed).serialized()
            return .model(BlobReference(digest: try blobs.put(bytes), byteCount: bytes.count))
        }

        /// - Parameter anew: by a worker that has just started.
        func run(
            _ teacher: TeacherReference?, residual: Federation.Digest? = nil, anew: Bool = false,
            values: ValueFormat = .float32
        ) throws -> (submission: Submission, residual: Federation.Digest?) {
            let offer = TaskOffer(
                round: 0, leaseSeconds: 10, seed: 5, snapshot: reference,
                scheme: WireScheme(values: values, smallValues: .float32), acceptedRounds: 0,
                work: .train(TrainingRecipe(batch: 20, learningRate: 0.1), teacher: teacher))
            let runner = anew ? TaskRunner(blobs: blobs, data: data, ownTeacher: self.runner.ownTeacher) : self.runner
            return try runner.run(offer, residual: residual, progress: { _ in }, isCancelled: { false })
        }

        func projectors(_ residual: Federation.Digest) throws -> [String] {
            try SafetensorsFile(blobs.map(residual), path: "residual").entries.map(\.name)
                .filter { $0.hasPrefix("projector:") }
        }
    }

    private static func alone(
        _ source: TeacherReference.Source, features: [FeatureTerm] = [], resize: TeacherResize? = nil
    ) -> TeacherReference {
        TeacherReference(
            members: [.init(source, resize: resize)], temperature: 4, alpha: 0.7, features: features)
    }

    @Test func projectorsAreKeptForTheNextRound() throws {
        let bench = try Bench()
        let teacher = Self.alone(try bench.teacher(seed: 7), features: [FeatureTerm(.hiddenStates, weight: 1)])
        let first = try bench.run(teacher)
        let kept = try #require(first.residual, "nothing else is owed, and projectors are kept all the same")
        #expect(try bench.projectors(kept).count == 3)
        let second = try bench.run(teacher, residual: kept)
        #expect(try bench.run(teacher, residual: kept, anew: true).submission.blob == second.submission.blob)
        #expect(try bench.run(teacher).submission.blob == first.submission.blob)
        // They begin where the round before left them, not anew.
        #expect(second.submission.blob != first.submission.blob && second.residual != kept)
        let lossy = try #require(try bench.run(teacher, residual: kept, values: .int4).residual)
        let description = try ResidualDescription(
            describing: SafetensorsFile(bench.blobs.map(lossy), path: "residual"))
        #expect(description.tensors.count(where: \.projector) == 3)
        let owed = description.tensors.filter { !$0.projector }.reduce(0) { $0 + $1.norm * $1.norm }.squareRoot()
        #expect(abs(description.norm - owed) < 1e-9)
    }

    @Test func termsWithoutProjectorsKeepNothing() throws {
        let bench = try Bench()
        let source = try bench.teacher(seed: 7)
        let maps = try bench.run(Self.alone(source, features: [FeatureTerm(.attentionMaps, weight: 10)]))
        #expect(maps.residual == nil)
        #expect(maps.submission.blob != (try bench.run(Self.alone(source))).submission.blob)
    }

    @Test func severalTeachersAreNoneOfThem() throws {
        let bench = try Bench()
        let sources = [try bench.teacher(seed: 7), try bench.teacher([1, 20, 14], seed: 8), .own]
        let members = zip(sources, [nil, .bilinear, nil] as [TeacherResize?]).map {
            TeacherReference.Member($0, weight: 1, resize: $1)
        }
        func blob(_ members: [TeacherReference.Member]) throws -> BlobReference? {
            try bench.run(TeacherReference(members: members, temperature: 4, alpha: 0.7)).submission.blob
        }
        let alone = try members.map { try blob([$0]) }
        let together = try blob(members)
        #expect(Set((alone + [together]).compactMap { $0?.digest }).count == 4)
        // Only proportions count, and what was remembered of other teachers is forgotten.
        #expect(try blob(members.map { .init($0.source, weight: 4, resize: $0.resize) }) == together)
        #expect(try blob([members[0]]) == alone[0])
    }

    @Test func whatATaskCannotHaveIsSaid() throws {
        let bench = try Bench()
        let large = Self.alone(try bench.teacher([1, 56, 56], seed: 7))
        #expect(throws: EngineError.self) { try bench.run(large) }
        let poor = TaskRunner(
            blobs: bench.blobs,
            data: try WorkerData(spec: DataSpec(parsing: "synthetic:digits?samples=40", environment: [:])))
        let offer = TaskOffer(
            round: 0, leaseSeconds: 10, seed: 5, snapshot: bench.reference, scheme: WireScheme(), acceptedRounds: 0,
            work: .train(TrainingRecipe(), teacher: Self.alone(.own)))
        let failure = try #require(throws: TaskFailure.self) {
            try poor.run(offer, residual: nil, progress: { _ in }, isCancelled: { false })
        }
        #expect(failure.description.contains("--teacher FILE"))
    }
}
