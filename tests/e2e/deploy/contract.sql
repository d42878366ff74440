-- Nobody uses the old column any more. Safe to run again.
BEGIN;
DROP TRIGGER IF EXISTS people_names ON people;
DROP FUNCTION IF EXISTS people_names();
ALTER TABLE people DROP COLUMN IF EXISTS name;
COMMIT;
