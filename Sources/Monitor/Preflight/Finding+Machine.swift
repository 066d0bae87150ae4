// What the machine's figures mean for a run. Estimates are rough, so only what lies far below them fails.

extension Finding {
    /// - Parameters:
    ///   - needed: estimated bytes; nil without a plan.
    ///   - what: whose they are, such as `coordinator`.
    public static func memory(_ machine: MachineFacts, needed: Int?, what: String) -> Finding {
        let rooms = [machine.availableMemory, machine.groupMemory].compactMap(\.self)
        guard let room = rooms.min() else {
            return Finding("memory", .warning, "how much is free cannot be read here", mend: "look at it yourself")
        }
        let isGroup = machine.groupMemory.map { $0 == room && $0 < machine.availableMemory ?? Int.max } ?? false
        let found = Figures.bytes(room) + " available" + (isGroup ? " in this control group" : "")
        guard let needed else { return Finding("memory", room < 512 << 20 ? .warning : .ok, found) }
        let text = "\(found), about \(Figures.bytes(needed)) needed (\(what), estimated)"
        guard room < needed else { return Finding("memory", .ok, text) }
        let mend = "take a machine with more, raise the control group's limit, or make the batch or the model smaller"
        // The estimate errs on the large side.
        return room < needed / 2
            ? Finding("memory", .failed, text, mend: mend, exitCode: 1) : Finding("memory", .warning, text, mend: mend)
    }

    /// - Parameters:
    ///   - free: bytes; nil where it cannot be told.
    ///   - needed: estimated bytes; nil without a plan.
    public static func disk(_ path: String, free: Int?, needed: Int?) -> Finding {
        guard let free else {
            return Finding("disk", .warning, "the room for \(path) cannot be read", mend: "look at it yourself")
        }
        let found = "\(Figures.bytes(free)) free for \(path)"
        guard let needed else {
            return free < 1 << 30
                ? Finding("disk", .warning, found, mend: "a run keeps several copies of its model: see to more")
                : Finding("disk", .ok, found)
        }
        let text = "\(found), about \(Figures.bytes(needed)) needed (estimated)"
        guard free < needed else { return Finding("disk", .ok, text) }
        return Finding("disk", .failed, text, mend: "make room, or name another --state", exitCode: 8)
    }

    /// - Parameter needed: files and sockets that a run opens.
    public static func openFiles(_ machine: MachineFacts, needed: Int) -> Finding {
        guard let limit = machine.openFiles else {
            return Finding("open files", .warning, "the limit cannot be read", mend: "look at ulimit -n")
        }
        let found = "\(Figures.count(limit)) allowed, about \(Figures.count(needed)) needed"
        guard limit < needed else { return Finding("open files", .ok, found) }
        return Finding("open files", .warning, found, mend: "ulimit -n \(needed), or LimitNOFILE of its service")
    }

    /// Clocks need not agree for a run; logs of several machines are read side by side, and a wrong one misleads.
    public static func clock(_ machine: MachineFacts) -> Finding {
        let mend = "set it, and let systemd-timesyncd or chrony keep it; no result depends on it, logs do"
        // This program did not exist before 2025.
        guard machine.time > 1_735_689_600, machine.time < 4_102_444_800 else {
            return Finding("clock", .warning, "the time of this machine cannot be right", mend: mend)
        }
        switch machine.isClockSynchronized {
        case true?:
            return Finding("clock", .ok, "kept by a time service (this machine's word; the protocol tells no time)")
        case false?: return Finding("clock", .warning, "no time service keeps it (this machine's word)", mend: mend)
        case nil: return Finding("clock", .ok, "plausible; whether a time service keeps it cannot be read here")
        }
    }
}
