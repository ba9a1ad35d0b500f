import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.api.TableResult;

/**
 * Runs the statements of a SQL file on a Flink cluster inside this process, as the SQL client
 * would on a real one:
 *
 * <pre>java -cp 'libs/*' RunSQL.java FILE</pre>
 *
 * A statement ends with a semicolon at the end of a line. ${NAME} stands for an environment
 * variable.
 */
public class RunSQL {
  public static void main(String[] args) throws Exception {
    Configuration configuration = new Configuration();
    configuration.setString("parallelism.default", "1");
    configuration.setString("taskmanager.numberOfTaskSlots", "1");
    configuration.setString("taskmanager.memory.network.min", "32m");
    configuration.setString("taskmanager.memory.network.max", "32m");
    configuration.setString("taskmanager.memory.managed.size", "16m");
    configuration.setString("rest.bind-port", "0");
    TableEnvironment flink =
        TableEnvironment.create(
            EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(configuration).build());
    String text = Files.readString(Path.of(args[0])).replaceAll("(?m)^\\s*--.*$", "");
    for (String statement : text.split(";\\s*(\\n|$)")) {
      if (statement.isBlank()) {
        continue;
      }
      for (var variable : System.getenv().entrySet()) {
        statement = statement.replace("${" + variable.getKey() + "}", variable.getValue());
      }
      TableResult result = flink.executeSql(statement);
      if (result.getJobClient().isPresent()) {
        System.out.println("the job runs");
        result.await();
      }
    }
  }
}
