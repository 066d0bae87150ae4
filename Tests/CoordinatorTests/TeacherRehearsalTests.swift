import Federation
import Foundation
import Ledger
import ModelGraph
import Testing

@testable import Coordinator

/// What a teacher cannot teach is refused before the first round, with the stage and what helps.
struct TeacherRehearsalTests {
    private final class Bench {
        let store: OpeningStore
        let student: Graph

        init() throws {
            student = try ModelBuilder.build(
                architecture: "resnet20", inputShape: [3, 16, 16], classes: 4, width: 8, seed: 5)
            store = try OpeningStore(student)
            for (name, input, classes) in [
                ("fits", [3, 16, 16], 4), ("large", [3, 32, 32], 4), ("gray", [1, 16, 16], 4),
                ("many", [3, 16, 16], 9),
            ] {
                let teacher = try ModelBuilder.build(
                    architecture: "resnet20", inputShape: input, classes: classes, width: 12, seed: 6)
                try Data(teacher.serialized()).write(to: URL(fileURLWithPath: "\(store.folder)/\(name).onnx"))
            }
        }

        func check(_ stages: String) throws -> [String: BlobReference] {
            let plan = try Plan.parse(
                "model: {architecture: resnet20}\nstages: [\(stages)]", path: "\(store.folder)/plan", environment: [:])
            let ends = try StageRehearsal.check(plan, graph: student) { _ throws(LatencyError) in [] }
            return try TeacherRehearsal(blobs: store.blobs).check(plan, students: ends)
        }
    }

    @Test func teachersThatFitAreStoredOnce() throws {
        let bench = try Bench()
        let stored = try bench.check(
            """
            {distill: {teacher: {file: fits.onnx}, hiddenStates: 1, attentionMaps: 2}},
            {train: {teacher: [{file: fits.onnx}, {file: large.onnx, resize: nearest}, {stage: 1}, {own: true}]}},
            {prune: {granularity: channel, multiple: 4, teacher: {stage: 1}, hiddenStates: 1}}
            """)
        #expect(stored.keys.sorted() == ["fits", "large"].map { "\(bench.store.folder)/\($0).onnx" })
        for blob in stored.values { #expect(bench.store.blobs.contains(blob.digest)) }
    }

    @Test(arguments: [
        ("{distill: {teacher: {file: many.onnx}}}", "has 9 classes but the student has 4"),
        ("{distill: {teacher: {file: large.onnx}}}", "takes 3x32x32 and the samples are 3x16x16: say how to resize"),
        ("{distill: {teacher: {file: gray.onnx, resize: nearest}}}", "which no resizing mends"),
        ("{distill: {teacher: {file: nowhere.onnx}}}", "nowhere.onnx"),
        ("{distill: {teacher: {file: fits.onnx}, attentionMatrices: 1}}", "name the pairs"),
        (
            "{distill: {teacher: {file: fits.onnx}, hiddenStates: {pairs: [[nothing, nothing]]}}}",
            "the student computes no value 'nothing'"
        ),
    ])
    func whatCannotWorkIsRefused(stage: String, phrase: String) throws {
        let bench = try Bench()
        let error = try #require(throws: CoordinatorError.self) { try bench.check("train, \(stage)") }
        guard case .model(let message) = error else { throw error }
        #expect(message.hasPrefix("stage 2 (distill): ") && message.contains(phrase), "\(message)")
    }
}
