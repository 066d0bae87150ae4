import Compression
import Engine
import Federation
import Ledger
import ModelGraph
import Shell
import UpdateCodec

/// Looks at a plan's teachers beside the models that will learn from them, so that what cannot work is refused before the
/// first round: other classes, other inputs without a word on resizing, values that do not exist or cannot be compared.
struct TeacherRehearsal {
    /// Where teachers that are files are stored; nil only looks.
    let blobs: BlobStore?

    /// Checks every stage, and stores the teachers that are files.
    /// - Parameter students: what the model will be like in the training rounds of each stage, and is at its end.
    /// - Returns: the files' blobs, by path.
    /// - Throws: `CoordinatorError.model` with the stage's number and what helps.
    func check(_ plan: Plan, students: [Graph]) throws -> [String: BlobReference] {
        var stored: [String: BlobReference] = [:]
        for (index, stage) in plan.stages.enumerated() {
            guard let teacher = stage.teacher else { continue }
            do {
                for member in teacher.members {
                    try check(member, of: teacher, student: students[index], stageEnds: students, into: &stored)
                }
            } catch {
                throw CoordinatorError.model("stage \(index + 1) (\(stage.kind)): \(error)")
            }
        }
        return stored
    }

    private func check(
        _ member: TeacherMember, of teacher: TeacherPlan, student: Graph, stageEnds: [Graph],
        into stored: inout [String: BlobReference]
    ) throws {
        let (graph, name): (Graph, String)
        switch member.source {
        case .stage(let stage): (graph, name) = (stageEnds[stage], "the teacher of stage \(stage + 1)")
        case .file(let path):
            (graph, name) = (try Graph.load(path: path), "teacher \(path)")
            try graph.validateOperators(supported: SupportedOperators.table)
            if let blobs, stored[path] == nil {
                let bytes = graph.serialized()
                stored[path] = BlobReference(digest: try blobs.put(bytes), byteCount: bytes.count)
            }
        // Seen by its worker only, which tells its classes when it says hello and refuses what does not fit.
        case .own: return
        }
        if let own = try graph.outputExtent(), let needed = try student.outputExtent(), own != needed {
            throw CoordinatorError.model(
                "\(name) has \(own) classes but the student has \(needed): give a teacher of the same classes")
        }
        if let samples = student.sampleExtents {
            do {
                _ = try InputResizing.between(
                    samples: samples, model: graph, method: member.resize.map(InputResizing.Method.init))
            } catch { throw CoordinatorError.model("\(name): \(error) ('resize')") }
        }
        guard !teacher.features.isEmpty else { return }
        _ = try FeatureMatching(
            teacher.features.signals(student: student, teacher: graph), student: student, teacher: graph, seed: 0)
    }
}

extension Graph {
    /// Extents of one sample of the first input; nil where the file leaves any open.
    fileprivate var sampleExtents: [Int]? {
        guard let dimensions = inputs.first?.dimensions?.dropFirst() else { return nil }
        var extents: [Int] = []
        for dimension in dimensions {
            guard case .fixed(let extent) = dimension else { return nil }
            extents.append(extent)
        }
        return extents
    }
}
