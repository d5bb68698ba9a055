/** An SSH server on loopback that behaves as a test says: it hangs, refuses, asks for a password, or answers a command with any text. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import ssh2 from 'ssh2'
import { newHostKey } from './git-ssh-server.ts'

export type SshHostOptions = {
  /** Default: a free one. */
  port?: number
  hostKeys?: string[]
  /** Where the host stops answering. */
  hangsAt?: 'handshake' | 'login' | 'command'
  password?: string
  /** By keyboard-interactive authentication only, with these prompts. */
  prompts?: { prompt: string; echo: boolean }[]
  /** Methods that the host names when it refuses a login. */
  methods?: ssh2.AuthenticationType[]
  /** What a command prints, given the script, and with which code it exits. Null: it is refused. */
  answer?: ((script: string) => { output: string; code?: number }) | null
}

export type SshHost = {
  host: string
  port: number
  /** Its first host key. */
  hostKey: string
  /** Login methods that clients have tried, and passwords that they have sent. */
  methods: string[]
  passwords: string[]
  connections(): number
  close(): Promise<void>
}

export async function startSshHost(options: SshHostOptions = {}): Promise<SshHost> {
  const { hostKeys = [newHostKey()], hangsAt, password = 'correct horse', prompts, port = 0 } = options
  const {
    methods: offered = [prompts ? 'keyboard-interactive' : 'password'],
    answer = (): { output: string; code?: number } => ({ output: '' }),
  } = options
  const [methods, passwords]: [string[], string[]] = [[], []]
  const clients = new Set<ssh2.Connection>()
  let connections = 0
  const server = new ssh2.Server({ hostKeys }, (client) => {
    clients.add(client)
    client.on('close', () => clients.delete(client)).on('error', () => {})
    client.on('authentication', (context) => {
      methods.push(context.method)
      if (context.method === 'password') passwords.push(context.password)
      if (hangsAt === 'login') return
      if (context.method === 'password' && !prompts && context.password === password) return context.accept()
      if (context.method === 'keyboard-interactive' && prompts)
        return context.prompt(prompts, (answers) => {
          passwords.push(...answers)
          if (answers[0] === password && answers.length === prompts.length) context.accept()
          else context.reject(offered)
        })
      context.reject(offered)
    })
    client.on('session', (accept) =>
      accept().on('exec', (acceptExec, reject) => {
        if (answer === null) return reject()
        const stream = acceptExec()
        let script = ''
        stream.on('data', (chunk: Buffer) => {
          script += chunk
        })
        stream
          .on('error', () => {})
          .on('end', () => {
            if (hangsAt === 'command') return
            const { output, code = 0 } = answer(script)
            stream.write(output)
            stream.exit(code)
            stream.end()
          })
      }),
    )
  })
  const listener = createServer((socket) => {
    connections++
    if (hangsAt !== 'handshake') server.injectSocket(socket)
    else sockets.add(socket.on('error', () => {}))
  })
  const sockets = new Set<Socket>()
  listener.listen(port, '127.0.0.1')
  await once(listener, 'listening')
  return {
    ...{ host: '127.0.0.1', port: (listener.address() as AddressInfo).port, methods, passwords, hostKey: hostKeys[0]! },
    connections: () => connections,
    async close() {
      for (const client of clients) client.end()
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => listener.close(() => resolve()))
    },
  }
}

/** What listens on loopback and answers each connection with some bytes, then stays silent or closes. */
export async function startTalker(
  bytes: string | Buffer,
  { closes = false } = {},
): Promise<{ host: string; port: number; close(): Promise<void> }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}))
    if (closes) socket.end(bytes)
    else socket.write(bytes)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    ...{ host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
