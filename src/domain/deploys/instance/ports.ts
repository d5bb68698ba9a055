/**
 * What the domain needs of a place where releases run, and of the router in front of it. A Docker Engine or a Kubernetes driver can
 * implement it: a release is named by its digest and an instance by its id, without pids, paths or ports. Only the router's half
 * (`Upstreams`), which the domain never calls, has addresses and directories.
 */
import { definePort } from '../../../platform/port.ts'
import type { OutputSink } from '../log/ports.ts'

/** Puts the source tree of a pinned commit into a directory that the driver chose. Throws PortError<SourceFailureCode>. */
export type SourceWriter = (directory: string, io: StepIo) => Promise<void>

/** What every long step is given. When `signal` aborts, the driver kills all that the step started and throws `signal.reason`. */
export type StepIo = { output: OutputSink; signal: AbortSignal }

export type BuildFailureCode = 'BUILD_NOT_DETECTED' | 'BUILD_FAILED' | 'SOURCE_REJECTED' | 'NO_CAPACITY'
export type ReleaseFailureCode = 'RELEASE_COMMAND_FAILED' | 'ARTIFACT_MISSING' | 'NO_CAPACITY'
export type StartFailureCode = 'START_FAILED' | 'ARTIFACT_MISSING' | 'NO_CAPACITY'

export type ServiceKind = 'web' | 'static_site' | 'worker'

export type BuildRequest = {
  /** Owner of the build cache. */
  serviceId: string
  /** Names the release directory; makes the digest unique. */
  deploymentId: string
  kind: ServiceKind
  source: SourceWriter
  /** Relative to the tree, '/' separated; never leaves it (SOURCE_REJECTED otherwise). */
  rootDirectory: string | null
  buildCommand: string | null
  startCommand: string | null
  publishDirectory: string | null
  /** Build-time variables. Given by environment, never in argv. */
  env: Record<string, string>
  clearCache: boolean
}

export type BuiltRelease = {
  /** `sha256:` + 64 hex digits. */
  digest: string
  sizeBytes: number
  /** The command that starts an instance; null for a static site. */
  startCommand: string | null
  /** Of a Procfile: what runs once before a release starts. */
  releaseCommand: string | null
  /** How the build was found, for the log: `commands`, `procfile`, `node`, `python`, `static`. */
  detected: string
}

export type ReleaseCommandRequest = {
  serviceId: string
  deploymentId: string
  digest: string
  command: string
  env: Record<string, string>
}

export type StartRequest = {
  instanceId: string
  serviceId: string
  deploymentId: string
  digest: string
  /** `worker` gets no port and is not reachable. */
  kind: 'web' | 'worker'
  startCommand: string
  /** Run-time variables. The driver adds PORT and HOST of its own; these two win over what is here. */
  env: Record<string, string>
}

/** `stopped`: it was told to end. `lost`: with the machine, that is, before its present boot. */
export type EndCause = 'itself' | 'stopped' | 'lost'

/** What the driver sees of an instance. `missing`: it knows nothing of that id (never started here, or forgotten). */
export type Observation =
  | { instanceId: string; state: 'running'; startedAt: Date }
  | { instanceId: string; state: 'exited'; exitCode: number | null; signal: string | null; exitedAt: Date | null; cause: EndCause }
  | { instanceId: string; state: 'missing' }

export type ProbeRequest = {
  instanceId: string
  /** GET this path and want 2xx or 3xx; null: a TCP connect is enough. */
  path: string | null
  timeoutMs: number
}

export type ProbeResult = {
  ok: boolean
  /** HTTP status, where one came. */
  status: number | null
  /** Why not, in words: `connection refused`, `answered 503`, `no answer within 2000 ms`. */
  reason: string | null
  /** Ports that the instance's processes listen on instead of the given PORT; empty when unknown. */
  otherPorts: number[]
  /** Addresses where they listen on the given PORT, but not where requests come from; empty when unknown. */
  otherHosts: string[]
}

/** Position in an instance's captured output: bytes consumed of each stream. The driver may reclaim what lies before it. */
export type OutputPosition = { stdout: number; stderr: number }

export type OutputRead = {
  /** In the order to be stored; empty when there is nothing new. Not cut at line ends. */
  chunks: { stream: 'stdout' | 'stderr'; bytes: Uint8Array }[]
  position: OutputPosition
  /** Bytes that were dropped between the asked position and the first chunk (the driver's own cap). */
  droppedBytes: number
}

/** An address that the router's process can connect to. */
export type Address = { host: string; port: number }

/** Directories that the router's process can read. */
export type StaticFiles = {
  root: string
  /** Compressed copies of the files, under the same names plus `.br` or `.gz`. Null if there are none. */
  encoded: string | null
}

/** What the router needs of the runtime. Called for each request, so the methods are synchronous and fast. */
export interface Upstreams {
  /** Address of an instance. Null for an unknown instance and for a worker. */
  addressOf(instanceId: string): Address | null
  /** Published files of a static release. Null for any other release, and while the files are not available here. */
  staticFiles(digest: string): StaticFiles | null
}

/** Where releases are built and instances run. Every call is idempotent by the ids in its arguments. */
export interface Runtime extends Upstreams {
  /** Isolation of builds and instances, as the driver names it, such as `bubblewrap`. `none` means that they are not isolated. */
  readonly sandbox: string
  /** Why builds and instances are not isolated. Null if they are. */
  readonly sandboxMissing: string | null

  /** Builds a release from source. Throws PortError<BuildFailureCode | SourceFailureCode>, or `signal.reason`. */
  build(request: BuildRequest, io: StepIo): Promise<BuiltRelease>
  /** Runs a command once inside a release, to its end. Throws PortError<ReleaseFailureCode> with the exit code. */
  runReleaseCommand(request: ReleaseCommandRequest, io: StepIo): Promise<void>
  hasRelease(digest: string): Promise<boolean>
  /** Removes a release; not an error when it is gone. Never removes one that a running instance uses. */
  removeRelease(digest: string): Promise<void>
  /** The digests of all releases that are kept, and the ids of all services for which something else is. */
  kept(): Promise<{ digests: string[]; serviceIds: string[] }>
  /** Null for a release that isn't kept. `sizeBytes` is what it takes up. */
  describeRelease(digest: string): Promise<{ serviceId: string; deploymentId: string; sizeBytes: number } | null>
  /** Removes what steps that were cut off left behind, and what no release needs any more. */
  sweep(): Promise<void>
  /** Removes the cache of a service and whatever else the driver keeps for it. */
  removeService(serviceId: string): Promise<void>

  /** Starts an instance that outlives this process; does nothing when it runs already. Throws PortError<StartFailureCode>. */
  start(request: StartRequest): Promise<void>
  /** One answer for each id, in order. Sees instances that another process of the control plane started. */
  observe(instanceIds: string[]): Promise<Observation[]>
  probe(request: ProbeRequest): Promise<ProbeResult>
  /** TERM to the whole instance, then KILL after `graceMs`. Resolves when nothing of it runs any more. */
  stop(instanceId: string, options: { graceMs: number }): Promise<void>
  /** Drops what the driver keeps of an ended instance (state, output); stops it first where it still runs. */
  forget(instanceId: string): Promise<void>
  /** All instances that the driver knows, running or ended. */
  list(): Promise<string[]>
  /** What the instance printed since `position`, at most `maxBytes`; survives a restart of the control plane. */
  readOutput(instanceId: string, position: OutputPosition, maxBytes: number): Promise<OutputRead>
}

export const runtimePort = definePort<Runtime>('runtime')

/** Where requests for one host go. */
export type Route = {
  host: string
  serviceId: string
  /** Printed in `X-Quayside-Release` (digest) and `X-Quayside-Deployment`; null where nothing is live. */
  digest: string | null
  deploymentId: string | null
  target: /** May be empty: 502 `no_healthy_instance`. */
    | { type: 'instances'; instanceIds: string[] }
    /** `singlePage`: an unknown path without a file ending is the site's index. */
    | { type: 'static'; singlePage: boolean }
    /** 503 `service_stopped` or `service_not_deployed`. */
    | { type: 'unavailable'; error: 'service_stopped' | 'service_not_deployed' }
}

export type RouteChange = { serviceId: string; route: Route | null }

export type RouterLoad = { instanceId: string; inFlight: number }

/** The HTTP router. Several processes may listen on one port together; each is told the whole table, then what changes of it. */
export interface Router {
  /**
   * Tries to take the port, or `port` from now on (0: any free one). False when another process has it, unless that is `shared` with
   * us: then both take requests. True without a change when it listens already. Requests wait for the first table.
   */
  listen(port?: number, options?: { shared?: boolean }): Promise<boolean>
  readonly listens: boolean
  /** It listens and has a table. */
  readonly ready: boolean
  /** The port it listens on, or would listen on. */
  readonly port: number
  /** Replaces the whole table at once; requests that run go on where they are. Former targets are drained, not cut. */
  apply(routes: Route[]): void
  /** Changes the routes of some services, all at once: what a service had before goes, whatever its host was. */
  change(changes: RouteChange[]): void
  /** Requests in flight by instance, also of instances that are no longer routed but still answer something. */
  load(): RouterLoad[]
  /** Stops listening, lets running requests end within `graceMs`, then cuts them. */
  close(options: { graceMs: number }): Promise<void>
}

export const routerPort = definePort<Router>('router')

/** What a release is asked for before visitors are: one instance of it (null: its files), past the table. */
export type PrivateTarget = Pick<Route, 'serviceId' | 'digest' | 'deploymentId'> & { instanceId: string | null; singlePage?: boolean }

export type RouterQuestion = {
  host: string
  path: string
  timeoutMs: number
  /** Asks this and nothing else, whatever the table says; absent: whatever the table says. */
  target?: PrivateTarget
}

export type RouterAnswer = {
  status: number | null
  /** The answer's headers; null when none came. */
  release: string | null
  deployment: string | null
  /** What the router said where it answered in place of the release. */
  error: string | null
  /** Why this is no whole answer of the release, in words; null for one, whatever its status. */
  failure: string | null
  timedOut: boolean
  /** The router itself was away or at its limits: nothing was learnt of the release. */
  routerAway: boolean
}

/** Asks the router from outside, over its real socket, whichever process holds it. */
export interface RouterProbe {
  /** GET through the router, read to its end. Never throws. */
  request(question: RouterQuestion): Promise<RouterAnswer>
}

export const routerProbePort = definePort<RouterProbe>('router probe')
