/** Log lines as real servers write them, to stderr. */
let database = '?'

export const logOf = (name) => {
  database = name
}

const pad = (value, width = 2) => String(value).padStart(width, '0')

function write(level, logger, message) {
  const now = new Date()
  const date = `${now.getFullYear()}-${pad(now.getMonth() + 1)}-${pad(now.getDate())}`
  const time = `${pad(now.getHours())}:${pad(now.getMinutes())}:${pad(now.getSeconds())},${pad(now.getMilliseconds(), 3)}`
  process.stderr.write(`${date} ${time} ${process.pid} ${level} ${database} ${logger}: ${message}\n`)
}

export const log = {
  info: (logger, message) => write('INFO', logger, message),
  warning: (logger, message) => write('WARNING', logger, message),
  error: (logger, message) => write('ERROR', logger, message),
  critical: (logger, message) => write('CRITICAL', logger, message),
}

/** What Python prints for an exception. */
export const traceback = (text) => `Traceback (most recent call last):\n  File "odoo/modules/loading.py", line 1, in load_modules\n${text}`
