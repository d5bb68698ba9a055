DROP TRIGGER server_stamp ON server;

-- CreateEnum
CREATE TYPE "server_status" AS ENUM ('PENDING', 'VALIDATING', 'ACTIVE', 'ERROR', 'REMOVING');

-- CreateEnum
CREATE TYPE "server_auth_method" AS ENUM ('PASSWORD', 'PRIVATE_KEY');

-- AlterTable
ALTER TABLE "server" ADD COLUMN     "architecture" TEXT,
ADD COLUMN     "auth_method" "server_auth_method",
ADD COLUMN     "cpu_cores" INTEGER,
ADD COLUMN     "credential" BYTEA,
ADD COLUMN     "disk_free_bytes" DOUBLE PRECISION,
ADD COLUMN     "disk_total_bytes" DOUBLE PRECISION,
ADD COLUMN     "failure_code" TEXT,
ADD COLUMN     "failures" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "host" TEXT,
ADD COLUMN     "host_key_fingerprint" TEXT,
ADD COLUMN     "host_key_type" TEXT,
ADD COLUMN     "kernel" TEXT,
ADD COLUMN     "last_seen_at" TIMESTAMPTZ(3),
ADD COLUMN     "lease_ended" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "lease_epoch" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "lease_expires_at" TIMESTAMPTZ(3),
ADD COLUMN     "lease_owner" TEXT,
ADD COLUMN     "lost_at" TIMESTAMPTZ(3),
ADD COLUMN     "next_check_at" TIMESTAMPTZ(3),
ADD COLUMN     "os_name" TEXT,
ADD COLUMN     "os_version" TEXT,
ADD COLUMN     "port" INTEGER,
ADD COLUMN     "presented_host_key_fingerprint" TEXT,
ADD COLUMN     "presented_host_key_type" TEXT,
ADD COLUMN     "ram_total_bytes" DOUBLE PRECISION,
ADD COLUMN     "revision" INTEGER NOT NULL DEFAULT 1,
ADD COLUMN     "ssh_user" TEXT,
ADD COLUMN     "status" "server_status",
ADD COLUMN     "status_message" TEXT,
ADD COLUMN     "validated_at" TIMESTAMPTZ(3);

-- All servers so far are local ones.
UPDATE "server" SET "status" = 'ACTIVE';

ALTER TABLE "server" ALTER COLUMN "status" SET NOT NULL;

-- CreateIndex
CREATE INDEX "server_due_idx" ON "server"("next_check_at") WHERE (next_check_at is not null);

-- server_stamp
CREATE TRIGGER server_stamp BEFORE UPDATE OF version ON server FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- server_kind_check
ALTER TABLE server ADD CONSTRAINT server_kind_check CHECK (CASE kind WHEN 'local' THEN num_nonnulls(host, port, ssh_user, auth_method, credential, next_check_at) = 0
      ELSE kind = 'ssh' AND num_nulls(host, port, ssh_user, auth_method) = 0 END);

-- server_port_check
ALTER TABLE server ADD CONSTRAINT server_port_check CHECK (port BETWEEN 1 AND 65535);
