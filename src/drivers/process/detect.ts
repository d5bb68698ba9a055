/** How a tree is built and started, judged by its files. Pure reading: nothing of the tree is run here. */
import { lstat, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BuildRequest } from '../../domain/deploys/instance/ports.ts'
import { PortError } from '../../platform/errors.ts'

export type Plan = {
  detected: 'commands' | 'procfile' | 'node' | 'python' | 'static'
  /** Shell commands, in order. */
  steps: string[]
  /** Null: a static release. */
  startCommand: string | null
}

type Wishes = Pick<BuildRequest, 'kind' | 'buildCommand' | 'startCommand'>

/** Own commands > Procfile > package.json > requirements.txt > index.html. Throws PortError BUILD_NOT_DETECTED. */
export async function detectPlan(directory: string, wishes: Wishes): Promise<Plan> {
  const buildCommand = wishes.buildCommand?.trim() || null
  const startCommand = wishes.startCommand?.trim() || null
  const project = (await readNode(directory)) ?? (await readPython(directory))
  if (wishes.kind === 'static_site') {
    if (buildCommand !== null) return { detected: 'commands', steps: [buildCommand], startCommand: null }
    return project?.builds ? { detected: project.detected, steps: project.steps, startCommand: null } : staticPlan
  }
  const steps = buildCommand === null ? (project?.steps ?? []) : [buildCommand]
  if (startCommand !== null) return { detected: 'commands', steps, startCommand }
  const line = await procfileLine(directory, wishes.kind)
  if (line !== null) return { detected: buildCommand === null ? 'procfile' : 'commands', steps, startCommand: line }
  if (project !== null && project.startCommand !== null) {
    return { detected: buildCommand === null ? project.detected : 'commands', steps, startCommand: project.startCommand }
  }
  if (project?.builds) throw onlyBuilds(wishes.kind)
  if (project !== null || buildCommand !== null) throw noStart(wishes.kind)
  if (wishes.kind === 'web' && (await isFile(join(directory, 'index.html')))) return staticPlan
  throw new PortError('BUILD_NOT_DETECTED', 'Nothing here says how to build and start this.', {
    hint: 'Add a Procfile, a package.json with a start script or a requirements.txt, or set buildCommand and startCommand; check rootDirectory.',
  })
}

const staticPlan: Plan = { detected: 'static', steps: [], startCommand: null }

type Project = { detected: 'node' | 'python'; steps: string[]; startCommand: string | null; builds: boolean }

async function readNode(directory: string): Promise<Project | null> {
  const text = await readSmall(join(directory, 'package.json'))
  if (text === null) return null
  const manifest = parseManifest(text)
  const scripts = isRecord(manifest.scripts) ? manifest.scripts : {}
  const locked = (await isFile(join(directory, 'package-lock.json'))) || (await isFile(join(directory, 'npm-shrinkwrap.json')))
  // Build tools stand among the development dependencies, which NODE_ENV=production would leave out.
  const steps = [`npm ${locked ? 'ci' : 'install'} --include=dev --no-audit --no-fund`]
  const builds = typeof scripts.build === 'string'
  if (builds) steps.push('npm run build')
  return { detected: 'node', steps, builds, startCommand: await nodeStart(directory, scripts, manifest.main) }
}

async function nodeStart(directory: string, scripts: Record<string, unknown>, main: unknown): Promise<string | null> {
  if (typeof scripts.start === 'string') return 'npm start'
  // The main file may come from the build, so it need not be there yet.
  if (typeof main === 'string' && main !== '') return `node ${quote(main)}`
  for (const name of ['server.js', 'index.js']) if (await isFile(join(directory, name))) return `node ${name}`
  return null
}

async function readPython(directory: string): Promise<Project | null> {
  if (!(await isFile(join(directory, 'requirements.txt')))) return null
  const steps = ['python3 -m venv --clear .venv', '.venv/bin/python -m pip install --disable-pip-version-check -r requirements.txt']
  for (const name of ['app.py', 'main.py']) {
    if (await isFile(join(directory, name))) return { detected: 'python', steps, startCommand: `python ${name}`, builds: false }
  }
  return { detected: 'python', steps, startCommand: null, builds: false }
}

async function procfileLine(directory: string, kind: 'web' | 'worker'): Promise<string | null> {
  const text = (await readSmall(join(directory, 'Procfile'))) ?? ''
  for (const line of text.split(/\r?\n/)) {
    const [, name, command] = /^\s*([\w-]+)\s*:\s*(.*\S)\s*$/.exec(line) ?? []
    if (name === kind && command !== undefined) return command
  }
  return null
}

function noStart(kind: 'web' | 'worker'): PortError<'BUILD_NOT_DETECTED'> {
  return new PortError('BUILD_NOT_DETECTED', 'Nothing here says how to start this.', {
    hint: `Set startCommand, add a line "${kind}: <command>" to a Procfile, or a start script to package.json.`,
  })
}

/** As the templates of Vite and the like come: a build, and nothing that would answer a request. */
function onlyBuilds(kind: 'web' | 'worker'): PortError<'BUILD_NOT_DETECTED'> {
  return new PortError('BUILD_NOT_DETECTED', 'package.json has a build script, but nothing says how to start what it builds.', {
    hint:
      'If the build makes a site of files, make the service a STATIC_SITE (updateWebService with kind, while nothing is live). ' +
      `Else set startCommand, or add a start script or a line "${kind}: <command>" to a Procfile.`,
  })
}

function parseManifest(text: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(text)
    if (isRecord(parsed)) return parsed
  } catch {}
  throw new PortError('BUILD_NOT_DETECTED', 'package.json is not a JSON object.', { hint: 'Correct package.json.' })
}

const smallBytes = 1 << 20

async function readSmall(path: string): Promise<string | null> {
  return (await isFile(path)) && (await lstat(path)).size <= smallBytes ? await readFile(path, 'utf8') : null
}

async function isFile(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => null))?.isFile() ?? false
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function quote(word: string): string {
  return /^[\w./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
