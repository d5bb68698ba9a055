/** A Procfile: which command belongs to which process type, and what becomes of the types that a service doesn't run. */

export type Procfile = ReadonlyMap<string, string>

export function parseProcfile(text: string): Procfile {
  const commands = new Map<string, string>()
  for (const line of text.split(/\r?\n/)) {
    const [, name, command] = /^\s*([\w-]+)\s*:\s*(.*\S)\s*$/.exec(line) ?? []
    if (name !== undefined && command !== undefined && !commands.has(name)) commands.set(name, command)
  }
  return commands
}

/** Once before a release starts. Where web and worker share a repository it is the web service's to run. */
export function releaseCommandOf(procfile: Procfile, kind: 'web' | 'worker'): string | null {
  if (kind === 'worker' && procfile.has('web')) return null
  return procfile.get('release') ?? null
}

/** A line for each process type that is left alone, with what to do. */
export function otherTypes(procfile: Procfile, kind: 'web' | 'worker'): string[] {
  const others = [...procfile].filter(([name]) => name !== kind && name !== 'release')
  return others.map(([name, command]) => {
    const service = `make another service of this repository, of kind ${name === 'web' ? 'WEB' : 'WORKER'}`
    const start = name === 'web' || name === 'worker' ? '' : `, with the startCommand ${command}`
    return `Procfile: "${name}" is not run by this service. To run it, ${service}${start}.`
  })
}
