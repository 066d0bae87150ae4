import Foundation

extension Report {
    /// Most bytes of a report's file: 10,000 rounds take about 5 MB.
    static let byteLimit = 64 << 20

    private static let countLimit = 1 << 53
    /// Of one round or worker: many of them are added up.
    private static let partLimit = 1 << 48

    /// Whether the figures can be counted with. A report that we wrote always is; a file may hold anything.
    var isPlausible: Bool {
        let own = [
            bytesBefore, bytesAfter, wireBytesUp, wireBytesDown, wireBytesFloat32, rounds, refused,
            parametersBefore ?? 0,
            parametersAfter ?? 0, macsBefore ?? 0, macsAfter ?? 0, stagesPlanned ?? 0, workersTotal ?? 0,
        ]
        return own.allSatisfy(Self.isCount) && stages.count <= 1000 && stages.allSatisfy(\.isPlausible)
            && roundDetails.count <= 100_000 && roundDetails.allSatisfy(\.isPlausible)
            && workers.count <= 10_000 && workers.allSatisfy(\.isPlausible)
    }

    fileprivate static func isCount(_ count: Int) -> Bool { (0...countLimit).contains(count) }
    fileprivate static func isPart(_ count: Int) -> Bool { (0...partLimit).contains(count) }
}

extension Report.Stage {
    fileprivate var isPlausible: Bool {
        [
            bytesBefore, bytesAfter, wireBytesUp, wireBytesDown, wireBytesFloat32, rounds, parametersBefore ?? 0,
            parametersAfter ?? 0, macsBefore ?? 0, macsAfter ?? 0, contributions ?? 0, refusals ?? 0,
        ].allSatisfy(Report.isPart)
    }
}

extension Report.Round {
    fileprivate var isPlausible: Bool {
        [
            round, stage, wireBytesUp, wireBytesDown, wireBytesFloat32 ?? 0, parameters ?? 0, contributions ?? 0,
            refusals ?? 0,
        ].allSatisfy(Report.isPart)
    }
}

extension Report.Worker {
    fileprivate var isPlausible: Bool { [contributions, refusals, bytes].allSatisfy(Report.isPart) }
}
