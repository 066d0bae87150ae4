import Yams

// Reads whom a stage's training learns from, and how.

extension PlanReader {
    /// The teacher of a stage that may go without.
    func optionalTeacher(
        in section: PlanSection, number: Int, _ recipe: TrainingRecipe
    ) throws(PlanError) -> TeacherPlan? {
        guard section.has("teacher") else {
            for key in PlanKeys.teaching where section.has(key) {
                throw section.error(key, "'\(key)' in \(section.place) needs a 'teacher'")
            }
            return nil
        }
        if let loss = recipe.loss, [.meanSquared, .binary, .cosine].contains(loss) {
            throw section.error(
                "teacher",
                "'teacher' in \(section.place) needs a loss over classes or tokens: loss \(loss) has no soft labels; take "
                    + "crossEntropy, nextToken or maskedToken")
        }
        return try teacher(in: section, number: number)
    }

    func teacher(in section: PlanSection, number: Int) throws(PlanError) -> TeacherPlan {
        let plan = TeacherPlan(
            members: try members(in: section, number: number),
            temperature: try section.number("temperature", .above(0, upTo: 100), default: 4),
            alpha: try section.number("alpha", .from(0, upTo: 1), default: 0.7),
            features: try features(in: section))
        if let term = plan.features.first, plan.members.count > 1 {
            throw section.error(
                "\(term.measure)",
                "'\(term.measure)' in \(section.place) needs a single teacher, found \(plan.members.count): the values inside "
                    + "several have no mean")
        }
        return plan
    }

    /// One teacher is written as a mapping, several as a list of mappings.
    private func members(in section: PlanSection, number: Int) throws(PlanError) -> [TeacherMember] {
        guard let entry = section["teacher"] else {
            throw section.missing("teacher", hint: "write teacher: {stage: 1} or teacher: {file: teacher.onnx}")
        }
        let nodes = entry.node.sequence.map(Array.init) ?? [entry.node]
        guard (1...MessageLimits.teachers).contains(nodes.count) else {
            throw section.mismatch("teacher", "a mapping or a list of 1 to \(MessageLimits.teachers) mappings", entry)
        }
        var members: [TeacherMember] = []
        for (index, node) in nodes.enumerated() {
            let member = try PlanSection(
                node, path: path,
                place: "teacher \(nodes.count > 1 ? "\(index + 1) " : "")of \(section.place)",
                line: node.mark?.line ?? entry.line, keys: PlanKeys.teacher)
            members.append(
                TeacherMember(
                    try source(of: member, number: number),
                    weight: try member.number("weight", .above(0, upTo: 1_000_000), default: 1),
                    resize: try member.choice("resize", .named(TeacherResize.self))))
            guard nodes.count > 1 || !member.has("weight") else {
                throw member.error("weight", "'weight' in \(member.place) needs several teachers")
            }
        }
        if let twice = members.indices.first(where: { index in
            members[..<index].contains { $0.source == members[index].source }
        }) {
            throw section.error("teacher", "teacher \(twice + 1) of \(section.place) is named twice; give it a weight")
        }
        return members
    }

    private func source(of teacher: PlanSection, number: Int) throws(PlanError) -> TeacherSource {
        let written = ["stage", "file", "own"].filter(teacher.has)
        guard let key = written.first else { throw teacher.missing("stage", hint: "or give 'file' or 'own: true'") }
        guard written.count == 1 else {
            let names = written.map { "'\($0)'" }.joined(separator: " and ")
            throw teacher.error(written[1], "\(names) in \(teacher.place) exclude each other; keep one")
        }
        switch key {
        case "file": return .file(try file(in: teacher))
        case "own":
            guard try teacher.boolean("own", default: true) else {
                throw teacher.error("own", "'own: false' in \(teacher.place) names no teacher; give 'stage' or 'file'")
            }
            return .own
        default:
            guard !teacher.has("resize") else {
                throw teacher.error(
                    "resize", "'resize' in \(teacher.place) needs 'file' or 'own': stages share one input")
            }
            guard number > 1 else {
                throw teacher.error(
                    "stage", "the first stage has no earlier stage to learn from; give the teacher's 'file'")
            }
            guard let stage = try teacher.integer("stage", 1...(number - 1)) else {
                preconditionFailure("'stage' is written and not read")
            }
            return .stage(stage - 1)
        }
    }

    // MARK: Values inside

    /// A weight alone means pairs by depth.
    private func features(in section: PlanSection) throws(PlanError) -> [FeatureTerm] {
        var terms: [FeatureTerm] = []
        for measure in FeatureMeasure.allCases {
            let key = "\(measure)"
            guard let entry = section[key] else { continue }
            guard entry.node.mapping != nil else {
                terms.append(FeatureTerm(measure, weight: try section.number(key, Self.featureWeight, default: 1)))
                continue
            }
            let body = try PlanSection(
                entry.node, path: path, place: "\(key) of \(section.place)", line: entry.line, keys: PlanKeys.feature)
            terms.append(
                FeatureTerm(
                    measure, weight: try body.number("weight", Self.featureWeight, default: 1),
                    pairs: try pairs(in: body)))
        }
        return terms
    }

    private static var featureWeight: NumberRange { .above(0, upTo: 1_000_000) }

    private func pairs(in section: PlanSection) throws(PlanError) -> [FeatureTerm.Pair] {
        guard let entry = section["pairs"] else { return [] }
        guard let sequence = entry.node.sequence, (1...MessageLimits.featurePairs).contains(sequence.count) else {
            throw section.mismatch(
                "pairs", "a list of 1 to \(MessageLimits.featurePairs) pairs [student's value, teacher's value]", entry)
        }
        var pairs: [FeatureTerm.Pair] = []
        for node in sequence {
            let names = node.sequence?.compactMap { $0.scalar?.string } ?? []
            guard names.count == 2, node.sequence?.count == 2, names.allSatisfy(Self.isName) else {
                throw section.error(
                    "pairs",
                    "'pairs' in \(section.place) must hold [student's value, teacher's value], found \(node.summary)")
            }
            pairs.append(FeatureTerm.Pair(student: names[0], teacher: names[1]))
        }
        return pairs
    }

    private static func isName(_ name: String) -> Bool {
        (1...MessageLimits.valueNameBytes).contains(name.utf8.count) && name == name.withoutControls
    }

    /// What only the whole plan shows of values inside.
    func checkFeatures(of stages: [StagePlan], _ fleet: FleetRules, in top: PlanSection) throws(PlanError) {
        var losesBlocks = false
        for (index, stage) in stages.enumerated() {
            if case .prune(let plan) = stage, plan.rules.granularity == .layer { losesBlocks = true }
            for term in stage.teacher?.features ?? [] {
                let place = "stage \(index + 1) (\(stage.kind))"
                guard !losesBlocks || term.pairs.isEmpty else {
                    throw top.error(
                        "stages",
                        "\(place): '\(term.measure)' names values, but granularity 'layer' removes blocks that only the fleet's "
                            + "scores decide; leave out 'pairs', and they are found by their places")
                }
                guard !fleet.hasWidths || !term.measure.comparesHeads else {
                    throw top.error(
                        "stages",
                        "\(place): '\(term.measure)' and widths below 1 in fleet exclude each other: a narrower model has fewer "
                            + "heads than the teacher")
                }
            }
        }
    }
}
