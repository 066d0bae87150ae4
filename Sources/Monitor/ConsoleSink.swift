import Dispatch
import Federation
import Foundation
import Synchronization

/// Where a command shows its events. Safe from any thread; showing never fails a run.
public protocol ConsoleSink: Sendable {
    func take(_ event: LogEvent)
    /// Takes the progress line away; nothing is shown afterwards.
    func close()
}

/// Picks how a command shows its events.
public enum ConsoleChoice {
    /// JSON lines if asked for; else lines for people, with colours and a live progress line only on a terminal, and
    /// without colours when the environment sets NO_COLOR (no-color.org) or TERM is `dumb`.
    /// - Parameter descriptor: where to write; standard output unless given.
    public static func choose(json: Bool, isTerminal: Bool, descriptor: Int32 = STDOUT_FILENO) -> any ConsoleSink {
        if json { return JSONConsole(descriptor: descriptor) }
        let environment = ProcessInfo.processInfo.environment
        let isDumb = environment["TERM"] == "dumb"
        let style = HumanRenderer.Style(
            isLive: isTerminal && !isDumb,
            hasColours: isTerminal && !isDumb && environment["NO_COLOR", default: ""].isEmpty)
        return HumanConsole(style: style, descriptor: descriptor)
    }
}

/// Events as JSON lines, the same as in the log.
public final class JSONConsole: ConsoleSink {
    private let descriptor: Int32
    private let isOpen = Mutex(true)

    public init(descriptor: Int32) { self.descriptor = descriptor }

    public func take(_ event: LogEvent) {
        let line = EventLine.encode(event, at: Date())
        isOpen.withLock { if $0 { _ = DurableFile.writeAll(line, to: descriptor) } }
    }

    public func close() { isOpen.withLock { $0 = false } }
}

/// Events drawn for people; on a terminal the progress line is redrawn each second.
public final class HumanConsole: ConsoleSink {
    private struct State {
        var renderer: HumanRenderer
        var isOpen = true
    }

    private let descriptor: Int32
    private let state: Mutex<State>
    private let ticks = Mutex<(any DispatchSourceTimer)?>(nil)

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

    deinit { ticks.withLock { $0?.cancel() } }

    public func take(_ event: LogEvent) { show { $0.render(event) } }

    public func close() {
        ticks.withLock { $0?.cancel() }
        show { $0.finish() }
        state.withLock { $0.isOpen = false }
    }

    private func show(_ draw: (inout HumanRenderer) -> String) {
        state.withLock { state in
            guard state.isOpen else { return }
            if state.renderer.style.isLive { state.renderer.style.columns = Self.columns(of: descriptor) }
            let text = draw(&state.renderer)
            if !text.isEmpty { _ = DurableFile.writeAll(Array(text.utf8), to: descriptor) }
        }
    }

    private static func columns(of descriptor: Int32) -> Int {
        var size = winsize()
        return ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
    }
}
