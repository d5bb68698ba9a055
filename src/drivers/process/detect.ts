/** Detects how a tree is built and started from its files. Nothing of the tree is run. */
import { join } from 'node:path'
import type { BuildRequest } from '../../domain/deploys/instance/ports.ts'
import { PortError } from '../../platform/errors.ts'
import { isFile, isRecord, readManifest, readSmall } from './manifest.ts'
import { requiredNode } from './node-version.ts'
import { findPackageManager } from './package-manager.ts'
import { otherTypes, parseProcfile, releaseCommandOf } from './procfile.ts'
import type { ToolRequirement } from './tool.ts'

export type Plan = {
  /** Such as `commands`, `procfile` or `node`. */
  detected: string
  /** Shell commands, in order. */
  steps: string[]
  /** Null: a static release. */
  startCommand: string | null
  releaseCommand: string | null
  /** Programs that the build and the instances need in addition to, or in place of, those of the host. */
  tools: ToolRequirement[]
  /** Notes for the log, such as files that are not used. */
  notes: string[]
  /** Of a supplied plan. */
  facts?: unknown
}

type DetectOptions = Pick<BuildRequest, 'kind' | 'buildCommand' | 'startCommand'> & {
  /** Whether the host has Go. */
  hasGo?: boolean
}

/**
 * In order of precedence: commands in the settings, Procfile, package.json, requirements.txt, go.mod, index.html. `tree` is the root of the
 * source, `directory` the directory that is built. Throws PortError BUILD_NOT_DETECTED.
 */
export async function detectPlan(tree: string, directory: string, options: DetectOptions): Promise<Plan> {
  const buildCommand = options.buildCommand?.trim() || null
  const startCommand = options.startCommand?.trim() || null
  const project =
    (await readNode(tree, directory)) ?? (await readPython(directory)) ?? (options.hasGo === true ? await readGo(directory) : null)
  const unused = await unsupported(directory, project)
  const base = { tools: project?.tools ?? [], notes: unused.length > 0 ? [`Found but not used: ${unused.join(', ')}.`] : [] }
  if (options.kind === 'static_site') {
    const site = { ...base, startCommand: null, releaseCommand: null }
    if (buildCommand !== null) return { ...site, detected: 'commands', steps: [buildCommand] }
    return project?.builds ? { ...site, detected: project.detected, steps: project.steps } : { ...site, ...staticPlan, tools: [] }
  }
  const { kind } = options
  const steps = buildCommand === null ? (project?.steps ?? []) : [buildCommand]
  const procfile = parseProcfile((await readSmall(join(directory, 'Procfile'))) ?? '')
  const served = {
    releaseCommand: releaseCommandOf(procfile, kind),
    tools: base.tools,
    notes: [...base.notes, ...otherTypes(procfile, kind)],
  }
  if (startCommand !== null) return { ...served, detected: 'commands', steps, startCommand }
  const line = procfile.get(kind)
  if (line !== undefined) return { ...served, detected: buildCommand === null ? 'procfile' : 'commands', steps, startCommand: line }
  if (project !== null && project.startCommand !== null) {
    const detected = buildCommand === null ? project.detected : 'commands'
    return { ...served, detected, steps, startCommand: project.startCommand }
  }
  const types = [...procfile.keys()].filter((name) => name !== 'release')
  if (types.length > 0) throw otherProcfile(types, kind)
  if (project?.builds) throw onlyBuilds(kind)
  if (project !== null || buildCommand !== null) throw noStart(kind)
  if (kind === 'web' && (await isFile(join(directory, 'index.html')))) return { ...served, ...staticPlan, tools: [] }
  throw new PortError('BUILD_NOT_DETECTED', 'Quayside could not detect how to build and start the service.', { hint: adviceFor(unused) })
}

const staticPlan: Pick<Plan, 'detected' | 'steps' | 'startCommand'> = { detected: 'static', steps: [], startCommand: null }

type Project = {
  detected: 'node' | 'python' | 'go'
  steps: string[]
  startCommand: string | null
  /** Whether the steps build something, and do not only install dependencies. */
  builds: boolean
  tools: ToolRequirement[]
}

async function readNode(tree: string, directory: string): Promise<Project | null> {
  const manifest = await readManifest(directory)
  if (manifest === null) return null
  const scripts = isRecord(manifest.scripts) ? manifest.scripts : {}
  const manager = await findPackageManager(tree, directory)
  const node = await requiredNode(tree, directory, manifest)
  const builds = typeof scripts.build === 'string'
  return {
    detected: 'node',
    steps: [manager.install, ...(builds ? [`${manager.run} build`] : [])],
    builds,
    startCommand: await nodeStart(directory, scripts, manifest.main),
    tools: [node, manager.tool].filter((tool) => tool !== null),
  }
}

async function nodeStart(directory: string, scripts: Record<string, unknown>, main: unknown): Promise<string | null> {
  // npm runs scripts whatever the package manager is, and does not need the registry for it.
  if (typeof scripts.start === 'string') return 'npm start'
  // The build may create the main file, so it need not exist yet.
  if (typeof main === 'string' && main !== '') return `node ${quote(main)}`
  for (const name of ['server.js', 'index.js']) if (await isFile(join(directory, name))) return `node ${name}`
  return null
}

async function readPython(directory: string): Promise<Project | null> {
  if (!(await isFile(join(directory, 'requirements.txt')))) return null
  const steps = ['python3 -m venv --clear .venv', '.venv/bin/python -m pip install --disable-pip-version-check -r requirements.txt']
  const python: Project = { detected: 'python', steps, startCommand: null, builds: false, tools: [] }
  for (const name of ['app.py', 'main.py']) {
    if (await isFile(join(directory, name))) return { ...python, startCommand: `python ${name}` }
  }
  return python
}

async function readGo(directory: string): Promise<Project | null> {
  if (!(await isFile(join(directory, 'go.mod')))) return null
  return { detected: 'go', steps: ['go build -o ./go-server .'], startCommand: './go-server', builds: true, tools: [] }
}

/** Build files of other platforms. */
const foreign = ['Dockerfile', 'Containerfile', 'docker-compose.yml', 'compose.yaml', 'pyproject.toml', 'Pipfile', 'go.mod', 'Cargo.toml']
const foreignMore = ['Gemfile', 'composer.json', 'pom.xml', 'build.gradle', 'build.gradle.kts', 'mix.exs', 'deno.json']

async function unsupported(directory: string, project: Project | null): Promise<string[]> {
  const found: string[] = []
  for (const name of [...foreign, ...foreignMore]) if (await isFile(join(directory, name))) found.push(name)
  const ours: Record<Project['detected'], string[]> = { python: ['pyproject.toml'], go: ['go.mod'], node: [] }
  return project === null ? found : found.filter((name) => !ours[project.detected].includes(name))
}

function adviceFor(seen: string[]): string {
  const advice =
    'Add a Procfile, a package.json with a start script or a requirements.txt, or set buildCommand and startCommand. Also check rootDirectory.'
  if (seen.length === 0) return advice
  const go = seen.includes('go.mod') ? ' (Go requires its toolchain on the machine)' : ''
  return `Found but not supported: ${seen.join(', ')}${go}. ${advice}`
}

function noStart(kind: 'web' | 'worker'): PortError<'BUILD_NOT_DETECTED'> {
  return new PortError('BUILD_NOT_DETECTED', 'Quayside could not detect how to start the service.', {
    hint: `Set startCommand, add a line "${kind}: <command>" to a Procfile, or a start script to package.json.`,
  })
}

function otherProcfile(names: string[], kind: 'web' | 'worker'): PortError<'BUILD_NOT_DETECTED'> {
  const other = kind === 'web' ? 'WORKER' : 'WEB'
  return new PortError('BUILD_NOT_DETECTED', `The Procfile has no "${kind}" process, only ${names.join(', ')}.`, {
    hint: `Add a line "${kind}: <command>", set startCommand, or change the kind of the service to ${other} with updateWebService while it has no live deployment.`,
  })
}

/** For projects such as Vite templates, which have a build script and nothing to start. */
function onlyBuilds(kind: 'web' | 'worker'): PortError<'BUILD_NOT_DETECTED'> {
  return new PortError('BUILD_NOT_DETECTED', 'package.json has a build script, but Quayside could not detect how to start its result.', {
    hint:
      'If the build creates a static site, change the kind of the service to STATIC_SITE with updateWebService while it has no live deployment. ' +
      `Otherwise, set startCommand, or add a start script or a line "${kind}: <command>" to a Procfile.`,
  })
}

function quote(word: string): string {
  return /^[\w./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
