-- AlterTable
ALTER TABLE "resource" ADD COLUMN     "port" INTEGER;

-- The ranges of databases and Redis instances may overlap. Where both had the same port, the database keeps the reservation.
UPDATE resource r SET port = d.port FROM database d WHERE d.id = r.id AND d.owns_port;
UPDATE resource r SET port = i.port FROM redis i WHERE i.id = r.id AND NOT EXISTS (SELECT 1 FROM resource o WHERE o.port = i.port);

-- DropIndex
DROP INDEX "database_port_key";

-- DropIndex
DROP INDEX "redis_port_key";

-- CreateIndex
CREATE UNIQUE INDEX "resource_port_key" ON "resource"("port");
