import Dispatch
import Federation
import Foundation
import Synchronization

/// Where a command shows its events. Safe from any thread; showing never fails a run.
public protocol ConsoleSink: Sendable {
    func take(_ event: LogEvent)
    /// Where there is a live region: asks for what is under way once a second.
    func follow(_ bars: @escaping @Sendable () async -> [LiveBar])
    /// Says something on standard error that is no event.
    func warn(_ text: String)
    /// Takes the live region away; nothing is shown afterwards.
    func close()
}

extension ConsoleSink {
    public func follow(_ bars: @escaping @Sendable () async -> [LiveBar]) {}
    public func warn(_ text: String) { printWarning(text) }
}

/// Picks how a command shows its events.
public enum ConsoleChoice {
    /// JSON lines if asked for; else lines for people, with colours and a live region only on a terminal, and
    /// without colours when the environment sets NO_COLOR (no-color.org) or TERM is `dumb`. What goes to the journal has
    /// priorities.
    /// - Parameters:
    ///   - descriptor: where to write; standard output unless given.
    ///   - minimumLevel: events below it are not shown.
    public static func choose(
        json: Bool, isTerminal: Bool, descriptor: Int32 = STDOUT_FILENO, minimumLevel: LogLevel = .debug,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) -> any ConsoleSink {
        let isJournal = JournalStream.isBehind(descriptor, environment: environment)
        if json { return JSONConsole(descriptor: descriptor, minimumLevel: minimumLevel, isForJournal: isJournal) }
        let isDumb = environment["TERM"] == "dumb"
        let style = HumanRenderer.Style(
            isLive: isTerminal && !isDumb,
            hasColours: isTerminal && !isDumb && environment["NO_COLOR", default: ""].isEmpty,
            minimumLevel: minimumLevel, isForJournal: isJournal)
        return HumanConsole(style: style, descriptor: descriptor)
    }
}

/// Events as JSON lines, the same as in the log.
public final class JSONConsole: ConsoleSink {
    private let descriptor: Int32
    private let minimumLevel: LogLevel
    private let isForJournal: Bool
    private let isOpen = Mutex(true)

    public init(descriptor: Int32, minimumLevel: LogLevel = .debug, isForJournal: Bool = false) {
        self.descriptor = descriptor
        self.minimumLevel = minimumLevel
        self.isForJournal = isForJournal
    }

    public func take(_ event: LogEvent) {
        guard event.level >= minimumLevel else { return }
        let prefix = isForJournal ? Array(JournalStream.prefix(event.level).utf8) : []
        let line = prefix + EventLine.encode(event, at: Date())
        isOpen.withLock { if $0 { _ = DurableFile.writeAll(line, to: descriptor) } }
    }

    public func close() { isOpen.withLock { $0 = false } }
}

/// Events drawn for people; on a terminal the live region is redrawn each second.
public final class HumanConsole: ConsoleSink {
    private struct State {
        var renderer: HumanRenderer
        var isOpen = true
    }

    private let descriptor: Int32
    private let state: Mutex<State>
    private let ticks = Mutex<(any DispatchSourceTimer)?>(nil)
    private let following = Mutex<Task<Void, Never>?>(nil)

    public init(style: HumanRenderer.Style, descriptor: Int32) {
        self.descriptor = descriptor
        state = Mutex(State(renderer: HumanRenderer(style: style)))
        guard style.isLive else { return }
        ticks.withLock { ticks in
            let timer = DispatchSource.makeTimerSource()
            timer.schedule(deadline: .now() + 1, repeating: 1)
            timer.setEventHandler { [weak self] in self?.show { $0.redraw() } }
            timer.resume()
            ticks = timer
        }
    }

    deinit {
        ticks.withLock { $0?.cancel() }
        following.withLock { $0?.cancel() }
    }

    public func take(_ event: LogEvent) { show { $0.render(event) } }

    public func follow(_ bars: @escaping @Sendable () async -> [LiveBar]) {
        guard state.withLock({ $0.renderer.style.isLive }) else { return }
        let task = Task { [weak self] in
            while !Task.isCancelled {
                let bars = await bars()
                self?.state.withLock { $0.renderer.take(bars) }
                try? await Task.sleep(for: .seconds(1))
            }
        }
        following.withLock { $0 = task }
    }

    public func warn(_ text: String) {
        show { $0.interrupt() }
        printWarning(text)
        show { $0.redraw() }
    }

    public func close() {
        ticks.withLock { $0?.cancel() }
        following.withLock { $0?.cancel() }
        show { $0.finish() }
        state.withLock { $0.isOpen = false }
    }

    private func show(_ draw: (inout HumanRenderer) -> String) {
        state.withLock { state in
            guard state.isOpen else { return }
            if state.renderer.style.isLive {
                (state.renderer.style.columns, state.renderer.style.rows) = Self.size(of: descriptor)
            }
            let text = draw(&state.renderer)
            if !text.isEmpty { _ = DurableFile.writeAll(Array(text.utf8), to: descriptor) }
        }
    }

    private static func size(of descriptor: Int32) -> (columns: Int, rows: Int) {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return (80, 24) }
        return (Int(size.ws_col), Int(size.ws_row))
    }
}
