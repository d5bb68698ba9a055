/**
 * What the domain needs of a place where releases run, and of the router in front of it. A Docker Engine or a Kubernetes driver can
 * implement it: a release is named by its digest and an instance by its id, without pids, paths or ports. Only the router's half
 * (`Upstreams`), which the domain never calls, has addresses and directories.
 */
import { definePort } from '../../../platform/port.ts'
import type { Capacity, Usage } from '../../../platform/usage.ts'
import type { DiskMount, DiskStore } from '../disk/ports.ts'
import type { OutputSink } from '../log/ports.ts'

/** Writes the source tree of a pinned commit into a directory that the driver chooses. Throws PortError<SourceFailureCode>. */
export type SourceWriter = (directory: string, io: StepIo) => Promise<void>

/** The directory that is built, as a plan reads it. Paths are relative, '/' separated; one that leaves the source tree counts as missing. */
export type SourceTree = {
  isFile(path: string): Promise<boolean>
  /** Names of the directories in a directory, sorted. Null if it is none. */
  directories(path: string): Promise<string[] | null>
}

/** How a release is built and started, in place of what the driver detects. */
export type SuppliedPlan = {
  /** How the build was detected, for the log. */
  detected: string
  /** Shell commands, in order. */
  steps: string[]
  startCommand: string
  /** What the tree contains, as JSON. Returned with the release. */
  facts: unknown
}

/** A program that a release is built and run with, apart from its tree: fetched once, shared by releases, and kept as long as one needs it. */
export type SuppliedTool = {
  /** Unique to its content, such as `odoo-<commit>`. Letters, digits, `_` and `-`. */
  name: string
  /** For the log and errors, such as `Odoo 17.0`. */
  title: string
  /** Path of its executable within the source, which commands find by its name. SOURCE_REJECTED if it is missing. */
  program: string
  source: SourceWriter
}

/** Passed to every long step. When `signal` aborts, the driver kills everything that the step started and throws `signal.reason`. */
export type StepIo = { output: OutputSink; signal: AbortSignal }

export type BuildFailureCode = 'BUILD_NOT_DETECTED' | 'BUILD_FAILED' | 'SOURCE_REJECTED' | 'NO_CAPACITY'
export type ReleaseFailureCode = 'RELEASE_COMMAND_FAILED' | 'ARTIFACT_MISSING' | 'NO_CAPACITY'
export type StartFailureCode = 'START_FAILED' | 'ARTIFACT_MISSING' | 'NO_CAPACITY'

export type ServiceKind = 'web' | 'static_site' | 'worker'

export type BuildRequest = {
  /** Owner of the build cache. */
  serviceId: string
  /** Part of the digest, so that it is unique to the deployment. */
  deploymentId: string
  kind: ServiceKind
  source: SourceWriter
  /** Relative to the tree, '/' separated; never leaves it (SOURCE_REJECTED otherwise). */
  rootDirectory: string | null
  buildCommand: string | null
  startCommand: string | null
  publishDirectory: string | null
  /** Build-time variables. Passed in the environment, never as arguments. */
  env: Record<string, string>
  clearCache: boolean
  /** Omitted: the driver detects one. Throws PortError<BuildFailureCode> for a tree that cannot be built. */
  plan?: (tree: SourceTree) => Promise<SuppliedPlan>
  tools?: readonly SuppliedTool[]
}

export type BuiltRelease = {
  /** `sha256:` + 64 hex digits. */
  digest: string
  sizeBytes: number
  /** The command that starts an instance; null for a static site. */
  startCommand: string | null
  /** Release command of a Procfile, which runs once before a release starts. */
  releaseCommand: string | null
  /** How the build was detected, for the log, such as `commands`, `procfile` or `node`. */
  detected: string
  /** Those of the supplied plan. */
  facts?: unknown
}

/** Where a command finds its things, as it sees them. */
export type Places = {
  /** The root of the release, and its working directory. */
  tree: string
  app: string
  /** The directory of its private files. */
  files: string
  /** Directories of supplied tools, by name. */
  tools: Readonly<Record<string, string>>
  /** The port in the variable PORT, and the second one. Null if it has none. */
  port: number | null
  secondPort: number | null
}

/**
 * Files that only the processes of one instance, or of one command, can read, by name. They are not part of a release, and never appear in
 * arguments or logs. The variable QUAYSIDE_FILES is the path of their directory.
 */
export type PrivateFiles = (places: Places) => Record<string, string>

export type ReleaseCommandRequest = {
  serviceId: string
  deploymentId: string
  digest: string
  command: string
  env: Record<string, string>
  files?: PrivateFiles
  /** Throws DISK_IN_USE if an instance has one of them, which cannot start meanwhile either. */
  disks?: readonly DiskMount[]
}

export type StartRequest = {
  instanceId: string
  serviceId: string
  deploymentId: string
  digest: string
  /** A `worker` gets no port and is not reachable. */
  kind: 'web' | 'worker'
  startCommand: string
  /** Run-time variables. The driver adds PORT, HOST and the variables of the disks, which take precedence. */
  env: Record<string, string>
  /** If another instance has one of them, the start fails with START_FAILED. */
  disks: readonly DiskMount[]
  files?: PrivateFiles
  /** Whether the instance has a second port (`Upstreams.addressOf`), which its files name. */
  secondPort?: boolean
}

/** `itself`: it exited. `stopped`: it was stopped. `lost`: it ended with the machine, before the current boot. */
export type EndCause = 'itself' | 'stopped' | 'lost'

/** Observed state of an instance. `missing`: the id is unknown, because the instance was never started here or was forgotten. */
export type Observation =
  | { instanceId: string; state: 'running'; startedAt: Date }
  | { instanceId: string; state: 'exited'; exitCode: number | null; signal: string | null; exitedAt: Date | null; cause: EndCause }
  | { instanceId: string; state: 'missing' }

export type Measurement = {
  /** One for each id, in order. Null for an instance that is not running, and for one that cannot be measured. */
  usage: (Usage | null)[]
  capacity: Capacity | null
}

export type ProbeRequest = {
  instanceId: string
  /** Path to GET, which must return 2xx or 3xx. Null for a TCP connection only. */
  path: string | null
  timeoutMs: number
}

export type ProbeResult = {
  ok: boolean
  /** HTTP status. Null without a response. */
  status: number | null
  /** Reason for the failure, such as `connection refused`, `answered 503` or `no response within 2000 ms`. */
  reason: string | null
  /** Other ports than PORT on which the instance listens. Empty if unknown. */
  otherPorts: number[]
  /** Addresses on which it listens on PORT, if requests cannot reach it there. Empty if unknown. */
  otherHosts: string[]
}

/** Position in the captured output of an instance: consumed bytes of each stream. The driver may delete output before it. */
export type OutputPosition = { stdout: number; stderr: number }

export type OutputRead = {
  /** In the order to be stored. Empty if there is no new output. Not cut at line ends. */
  chunks: { stream: 'stdout' | 'stderr'; bytes: Uint8Array }[]
  position: OutputPosition
  /** Bytes dropped between the requested position and the first chunk, because of the driver's limit. */
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
  /** Address of an instance. Null for an unknown instance and for a worker. The second one: null for an instance with one port. */
  addressOf(instanceId: string, which?: 'second'): Address | null
  /** Published files of a static release. Null for any other release, and while the files are not available here. */
  staticFiles(digest: string): StaticFiles | null
}

/** Where releases are built and instances run. Every call is idempotent by the ids in its arguments. */
export interface Runtime extends Upstreams, DiskStore {
  /** Isolation of builds and instances, as the driver names it, such as `bubblewrap`. `none` means that they are not isolated. */
  readonly sandbox: string
  /** Why builds and instances are not isolated. Null if they are. */
  readonly sandboxMissing: string | null

  /** Builds a release from source. Throws PortError<BuildFailureCode | SourceFailureCode>, or `signal.reason`. */
  build(request: BuildRequest, io: StepIo): Promise<BuiltRelease>
  /** Runs a command once inside a release, to its end. Throws PortError<ReleaseFailureCode> with the exit code. */
  runReleaseCommand(request: ReleaseCommandRequest, io: StepIo): Promise<void>
  hasRelease(digest: string): Promise<boolean>
  /** Removes a release, if it exists and no running instance uses it. */
  removeRelease(digest: string): Promise<void>
  /** Digests of all stored releases, and ids of all services with other stored data. */
  kept(): Promise<{ digests: string[]; serviceIds: string[] }>
  /** Null for a release that is not stored. `sizeBytes` is its size on disk. */
  describeRelease(digest: string): Promise<{ serviceId: string; deploymentId: string; sizeBytes: number } | null>
  /** Removes leftovers of interrupted steps, and data that no release needs any more. */
  sweep(): Promise<void>
  /** Removes the cache and all other data of a service. */
  removeService(serviceId: string): Promise<void>

  /** Starts an instance, which outlives this process. Does nothing if it is running. Throws PortError<StartFailureCode>. */
  start(request: StartRequest): Promise<void>
  /** One observation for each id, in order, including instances started by other processes of the control plane. */
  observe(instanceIds: string[]): Promise<Observation[]>
  /** Measures the CPU time and memory of instances. The cost grows little with their number. Null if the driver cannot measure. */
  measure(instanceIds: string[]): Promise<Measurement | null>
  probe(request: ProbeRequest): Promise<ProbeResult>
  /** Sends SIGTERM to all processes of the instance, then SIGKILL after `graceMs`. Resolves when all have exited. */
  stop(instanceId: string, options: { graceMs: number }): Promise<void>
  /** Deletes the state and output of an instance. Stops it first if it is running. */
  forget(instanceId: string): Promise<void>
  /** All known instances, running or ended. */
  list(): Promise<string[]>
  /** Output of the instance after `position`, at most `maxBytes`. Output is kept across restarts of the control plane. */
  readOutput(instanceId: string, position: OutputPosition, maxBytes: number): Promise<OutputRead>
}

export const runtimePort = definePort<Runtime>('runtime')

/**
 * Requests for a path, and for everything below it, that are treated differently, however the path is written. An instance without a second
 * port gets those for it on its only one.
 */
export type PathRule = { path: string; to: 'second_port' | 'not_found' }

/** The route of a service. */
export type Route = {
  /** Its own host. */
  host: string
  /** Further hosts of the service. None if omitted. */
  domains?: readonly string[]
  /** The domain that requests for the other domains, but not for the own host, are redirected to. None if omitted. */
  primary?: string | undefined
  serviceId: string
  /** Value of `X-Quayside-Release`. Null if no deployment is live. */
  digest: string | null
  /** Value of `X-Quayside-Deployment`. Null if no deployment is live. */
  deploymentId: string | null
  /** For a target with instances. None if omitted. */
  rules?: readonly PathRule[]
  target: /** May be empty: 502 `no_healthy_instance`. */
    | { type: 'instances'; instanceIds: string[] }
    /** `singlePage`: unknown paths without a file extension serve the index page. */
    | { type: 'static'; singlePage: boolean }
    /** Requests wait for another target. */
    | { type: 'held' }
    /** 503 `service_stopped` or `service_not_deployed`. */
    | { type: 'unavailable'; error: 'service_stopped' | 'service_not_deployed' }
}

export type RouteChange = { serviceId: string; route: Route | null }

export type RouterLoad = { instanceId: string; inFlight: number }

/** The certificate of a host: its chain, the own certificate first, and its private key, both in PEM. */
export type HostCertificate = { host: string; chain: string; privateKey: string }

/**
 * The port of the router for TLS, in front of the same table. The name that a client asks for (SNI) selects the certificate. A handshake for a
 * name without one is refused, and so is a request for another host than that name.
 */
export interface RouterTls {
  /** As `Router.listen`, always on the same port. */
  listen(options?: { shared?: boolean }): Promise<boolean>
  readonly listens: boolean
  /** The port that it listens on, or would listen on. */
  readonly port: number
  /** Replaces and removes certificates. Open connections keep theirs. Plain HTTP requests to a host with a certificate are redirected to HTTPS. */
  change(change: { set: HostCertificate[]; removed: string[] }): void
}

/** The HTTP router. Several processes can listen on one port; each gets the whole table, then its changes. */
export interface Router {
  /**
   * Listens on its port, or on `port` from now on (0: any free port). Returns false if another process has the port, unless it is `shared`
   * with that process. Returns true without a change if it is already listening. Requests wait for the first table.
   */
  listen(port?: number, options?: { shared?: boolean }): Promise<boolean>
  readonly listens: boolean
  /** Whether it is listening and has a table. */
  readonly ready: boolean
  /** The port that it listens on, or would listen on. */
  readonly port: number
  /** Replaces the whole table at once. Requests in flight continue on their targets. */
  apply(routes: Route[]): void
  /** Replaces the routes of some services at once, whatever their hosts were. */
  change(changes: RouteChange[]): void
  /** Null if no port for TLS is configured. */
  readonly tls: RouterTls | null
  /** Requests in flight by instance, including instances that are no longer routed. */
  load(): RouterLoad[]
  /** Stops listening, waits up to `graceMs` for requests in flight, then closes their connections. */
  close(options: { graceMs: number }): Promise<void>
}

export const routerPort = definePort<Router>('router')

/** Target of a private request, regardless of the table: one instance of a release, or its files (null). */
export type PrivateTarget = Pick<Route, 'serviceId' | 'digest' | 'deploymentId' | 'rules'> & {
  instanceId: string | null
  singlePage?: boolean
}

export type RouterQuestion = {
  host: string
  path: string
  timeoutMs: number
  /** Asks for a WebSocket. An answer with the status 101 accepts it, and it is closed at once. */
  upgrade?: boolean
  /** Sends the request to this target. When omitted, the table decides. */
  target?: PrivateTarget
}

export type RouterAnswer = {
  status: number | null
  /** Headers of the response. Null without them. */
  release: string | null
  deployment: string | null
  /** Error code of a response of the router itself. */
  error: string | null
  /** Why there is no complete response of the release. Null for a complete one, whatever its status. */
  failure: string | null
  timedOut: boolean
  /** Whether the router was unavailable or overloaded, so nothing is known about the release. */
  routerAway: boolean
}

/** Sends requests to the router over its real socket, whichever process listens on it. */
export interface RouterProbe {
  /** GETs a path through the router and reads the response to its end. Never throws. */
  request(question: RouterQuestion): Promise<RouterAnswer>
}

export const routerProbePort = definePort<RouterProbe>('router probe')
