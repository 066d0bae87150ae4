// Reads what a plan says of ensembles, and refuses what cannot go with them.

extension PlanReader {
    /// The `ensemble` of a `distill` stage; nil when it has none.
    func ensemble(in section: PlanSection) throws(PlanError) -> EnsemblePlan? {
        let place = "ensemble of \(section.place)"
        guard let entry = section["ensemble"] else { return nil }
        // `ensemble: {}` and a bare `ensemble:` mean the defaults.
        let ensemble: PlanSection
        if entry.node.summary == "no value" {
            ensemble = .absent(path: path, place: place, line: entry.line, keys: PlanKeys.ensemble)
        } else {
            ensemble = try PlanSection(
                entry.node, path: path, place: place, line: entry.line, keys: PlanKeys.ensemble)
        }
        return EnsemblePlan(
            temperature: try ensemble.number("temperature", .above(0, upTo: 100), default: 4),
            alpha: try ensemble.number("alpha", .above(0, upTo: 1), default: 1),
            epochs: try ensemble.number("epochs", .above(0, upTo: 1000), default: 1),
            isMutual: try ensemble.boolean("mutual", default: false))
    }

    /// The teacher of a `distill` stage, which an ensemble may stand in for.
    func distillTeacher(
        in section: PlanSection, number: Int, isOptional: Bool
    ) throws(PlanError) -> TeacherPlan? {
        guard isOptional else { return try teacher(in: section, number: number) }
        guard section.has("teacher") else {
            for key in PlanKeys.teaching where section.has(key) {
                throw section.error(
                    key, "'\(key)' in \(section.place) is the teacher's: write it in 'ensemble', or give a 'teacher'")
            }
            return nil
        }
        let plan = try teacher(in: section, number: number)
        if let term = plan.features.first {
            throw section.error(
                "\(term.measure)",
                "'\(term.measure)' and 'ensemble' in \(section.place) exclude each other: nobody says what lies inside a "
                    + "consensus")
        }
        return plan
    }

    /// `students` of the fleet.
    func students(in fleet: PlanSection) throws(PlanError) -> [StudentSource] {
        guard let entry = fleet["students"] else { return [.shared] }
        let wanted =
            "a list of 1 to 1024 students: shared, \(PlanWords.architectures.joined(separator: ", ")) or a path"
        guard let sequence = entry.node.sequence, (1...1024).contains(sequence.count) else {
            throw fleet.mismatch("students", wanted, entry)
        }
        var students: [StudentSource] = []
        for node in sequence {
            guard let text = node.scalar?.string, node.summary != "no value", !text.isEmpty, text.utf8.count <= 4096,
                text == text.withoutControls
            else { throw fleet.error("students", "'students' in fleet must be \(wanted), found \(node.summary)") }
            let student = StudentSource(word: try expanded(text, "students", in: fleet))
            guard case .file(let file) = student else {
                students.append(student)
                continue
            }
            guard file.contains("/") || file.hasSuffix(".onnx") else {
                let mend = PlanSection.mend(file, in: ["shared"] + PlanWords.architectures, listing: "available")
                throw fleet.error(
                    "students", "unknown student '\(file.clipped)' in fleet; \(mend), or write the path of an ONNX file"
                )
            }
            students.append(.file(resolved(file)))
        }
        return students
    }

    /// What only the whole plan shows.
    func checkEnsembles(
        _ stages: [StagePlan], _ fleet: FleetRules, in top: PlanSection
    ) throws(PlanError) {
        let hasOwn = fleet.students.contains { $0 != .shared }
        guard stages.contains(where: { $0.ensemble != nil }) else {
            let help = "needs a stage such as '- distill: {ensemble: {}}'"
            if hasOwn { throw top.error("fleet", "'students' in fleet \(help)") }
            if top.has("public") { throw top.error("public", "'public' \(help)") }
            return
        }
        for stage in stages {
            if case .distill(let plan) = stage, plan.ensemble != nil, plan.recipe.correction != .none {
                throw top.error(
                    "stages",
                    "correction 'scaffold' and 'ensemble' in stage 'distill' exclude each other: it compares "
                        + "steps on private data, and public batches are steps too")
            }
        }
        guard fleet.rounds == .synchronous else {
            throw top.error("stages", "'ensemble' needs rounds: synchronous in fleet: a consensus is that of one round")
        }
        guard !fleet.hasWidths else {
            throw top.error(
                "stages",
                "'ensemble' and widths below 1 in fleet exclude each other: give workers that are not strong "
                    + "enough a student of their own ('students' in fleet)")
        }
        if let need = fleet.needOfMembers(for: stages) { throw top.error("fleet", need) }
    }
}
