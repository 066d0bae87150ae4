import Federation
import Foundation

extension RunStatus {
    /// Pretty JSON with sorted keys and a newline; numbers that are not finite are left out or zero.
    public func json() -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(finite) else { preconditionFailure("a finite status can be encoded") }
        return Array(escapedJSON(String(decoding: data, as: UTF8.self)).utf8) + [UInt8(ascii: "\n")]
    }

    private var finite: RunStatus {
        var status = self
        status.sparsity = sparsity.finiteOrZero
        status.accuracy = accuracy.finite
        status.round?.ageSeconds = (round?.ageSeconds).finite
        if let deadline = round?.deadlineSeconds { status.round?.deadlineSeconds = deadline.finiteOrZero }
        for index in workers.indices {
            status.workers[index].secondsSinceSeen = workers[index].secondsSinceSeen.finite
            status.workers[index].taskSeconds = workers[index].taskSeconds.finite
            if let task = workers[index].task { status.workers[index].task?.fraction = task.fraction.finiteOrZero }
        }
        return status
    }
}
