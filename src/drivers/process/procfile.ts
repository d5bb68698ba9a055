/** A Procfile: the command of each process type. */

export type Procfile = ReadonlyMap<string, string>

export function parseProcfile(text: string): Procfile {
  const commands = new Map<string, string>()
  for (const line of text.split(/\r?\n/)) {
    const [, name, command] = /^\s*([\w-]+)\s*:\s*(.*\S)\s*$/.exec(line) ?? []
    if (name !== undefined && command !== undefined && !commands.has(name)) commands.set(name, command)
  }
  return commands
}

/** The release command. If web and worker share a repository, only the web service runs it. */
export function releaseCommandOf(procfile: Procfile, kind: 'web' | 'worker'): string | null {
  if (kind === 'worker' && procfile.has('web')) return null
  return procfile.get('release') ?? null
}

/** A note for each process type that the service does not run. */
export function otherTypes(procfile: Procfile, kind: 'web' | 'worker'): string[] {
  const others = [...procfile].filter(([name]) => name !== kind && name !== 'release')
  return others.map(([name, command]) => {
    const service = `create another service for this repository, with kind ${name === 'web' ? 'WEB' : 'WORKER'}`
    const start = name === 'web' || name === 'worker' ? '' : ` and startCommand ${command}`
    return `Procfile: "${name}" is not run by this service. To run it, ${service}${start}.`
  })
}
